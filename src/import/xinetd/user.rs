//! The user of a program and its groups.

use super::super::unit_user;
use super::{Converter, Fate, has};

impl Converter<'_> {
    /// The user and the group.
    pub(super) fn user(&mut self) -> (Option<String>, Option<String>) {
        let service = self.service;
        let mut group = self.value("group").and_then(|(group, setting)| {
            let name = match group.parse() {
                Ok(number) => self.host.group_name(number),
                Err(_) => Some(group.clone()),
            };
            match &name {
                Some(name) => self.kept("group", setting, &format!("Group={name}")),
                None => self.unknown("group", &group),
            }
            name
        });
        let Some((user, setting)) = self.value("user") else {
            if self.report.obstacles.is_empty() {
                self.report.obstacle("the attribute user is missing", None);
            }
            return (None, group);
        };
        let number: Option<u32> = user.parse().ok();
        let name = match number {
            Some(number) => self.host.user_name(number),
            None => Some(user.clone()),
        };
        let Some(name) = name else {
            self.unknown("user", &user);
            return (None, group);
        };
        let value = unit_user(self.host, &name);
        self.kept("user", setting, &format!("User={value}"));
        // xinetd takes the number of a user for the group too.
        if let (Some(number), None) = (number, service.setting("group")) {
            group = self.host.group_name(number);
            match &group {
                Some(group) => {
                    let text = format!("Group={group}: xinetd takes the number for the group too");
                    self.kept("user", setting, &text);
                }
                None => self.unknown("group", &user),
            }
        }
        self.groups(&name, group.as_deref());
        (Some(name), group)
    }

    fn unknown(&mut self, what: &str, number: &str) {
        let hint = format!("add a {what} with this number, or write the name of an existing one");
        self.report.obstacle(
            format!(
                "{what} = {number}: systemd needs a {what} with this number, and there is none"
            ),
            Some(&hint),
        );
    }

    /// The supplementary groups.
    fn groups(&mut self, user: &str, group: Option<&str>) {
        let service = self.service;
        let more = self.host.groups(user);
        let is_set = has(service, "groups", "yes");
        // To xinetd, the user's own group is one of them.
        let own = self.host.own_group(user);
        let own = own.filter(|own| is_set && group.is_some_and(|group| group != own));
        if let Some(own) = &own {
            let line = format!("SupplementaryGroups={own}");
            self.imported.service.push(line);
        }
        let text = match (is_set, more.is_empty()) {
            (true, _) if own.is_some() => {
                "systemd sets the groups of the user, and SupplementaryGroups= its own".into()
            }
            (true, _) => "systemd sets the groups of the user".into(),
            (false, true) => "the user has no other groups".into(),
            (false, false) => format!(
                "systemd sets the other groups of the user too: {}",
                more.join(", ")
            ),
        };
        let fate = match is_set || more.is_empty() {
            true => Fate::Kept,
            false => Fate::Otherwise,
        };
        match service.setting("groups") {
            Some(setting) => self.add(fate, "groups", setting, &text),
            None if fate == Fate::Otherwise => {
                let position = Some(&service.position);
                self.report.add(fate, "groups = no", position, text);
            }
            None => {}
        }
    }
}
