//! The program of a service, its user and its environment.

use super::super::units::{self, Socket, Start};
use super::super::{file_name, text, unit_user};
use super::{Converter, Fate, has};
use crate::attach::Variable;
use crate::superserver::xinetd::{NoteKind, Setting};
use crate::systemd::quote::{can_be_program, environment_word};

/// tcpd(8), which applies hosts.allow and hosts.deny.
const TCPD: &str = "/usr/sbin/tcpd";

impl Converter<'_> {
    /// The program and its arguments.
    pub(super) fn program(&mut self) -> Option<(String, Vec<String>)> {
        let service = self.service;
        let is_too_late = |kind: &NoteKind| *kind == NoteKind::NameInArgsTooLate;
        if service.notes.iter().any(|note| is_too_late(&note.kind)) {
            self.report.obstacle(
                "flags = NAMEINARGS after server_args: xinetd starts the program without its arguments",
                Some("put flags before server_args"),
            );
        }
        if service.setting("redirect").is_some() {
            return self.redirected();
        }
        let Some((program, setting)) = self.value("server") else {
            if self.report.obstacles.is_empty() {
                self.report.obstacle("it has no server", None);
            }
            return None;
        };
        if !can_be_program(&program) || !program.starts_with('/') {
            self.report.obstacle(
                format!("server = {program}: systemd accepts no such path"),
                Some("rename it, or make a link to it"),
            );
        }
        // xinetd does not look for it when it reads inetd.conf.
        if service.is_inetd_line && !self.host.is_executable(&program) {
            self.report.is_unserved = true;
            let why = format!("there is no program {program}");
            self.report.obstacle(why, None);
        }
        let starts = match self.start {
            Start::Waits(_) => "systemd starts it",
            _ => "sockunit serve starts it for each connection",
        };
        self.kept("server", setting, starts);
        let mut arguments = Vec::new();
        if let Some(setting) = service.setting("server_args") {
            for word in &setting.values {
                match text(word) {
                    Some(word) => arguments.push(word),
                    None => self.not_text(word),
                }
            }
            self.kept("server_args", setting, "the arguments of ExecStart=");
        }
        let name = match has(service, "flags", "NAMEINARGS") && !arguments.is_empty() {
            true => arguments.remove(0),
            false => file_name(&program),
        };
        let (program, name) = self.wrapped(program, name);
        self.imported.program_name = Some(name);
        Some((program, arguments))
    }

    /// The program and its name, with tcpd before it if that keeps the rules of hosts.allow and hosts.deny.
    fn wrapped(&mut self, program: String, name: String) -> (String, String) {
        let service = self.service;
        let own = service.setting("libwrap");
        let daemon = match own.and_then(|setting| text(setting.values.first()?)) {
            Some(daemon) => daemon,
            None if has(service, "flags", "NAMEINARGS") => file_name(&name),
            None => file_name(&program),
        };
        let attribute = match own {
            Some(_) => format!("libwrap = {daemon}"),
            None => "hosts.allow and hosts.deny".into(),
        };
        let position = own.map(|setting| &setting.position);
        if has(service, "flags", "NOLIBWRAP") || program == TCPD {
            if let Some(setting) = own {
                self.kept("libwrap", setting, "flags = NOLIBWRAP or tcpd comes first");
            }
            return (program, name);
        }
        if !self.options.tcpd {
            if !self.host.has_wrapper_rules() {
                let text = "they have no rules, and the units do not read them; with --tcpd, rules that are added later have an effect";
                self.report.add(Fate::Otherwise, attribute, position, text);
                return (program, name);
            }
            self.report.obstacle(
                "xinetd applies the rules of /etc/hosts.allow and /etc/hosts.deny, and the units would not",
                Some("--tcpd keeps them; or set flags = NOLIBWRAP if they do not matter to it"),
            );
            return (program, name);
        }
        if self.start == Start::Waits(Socket::Stream) {
            self.report.obstacle(
                "wait = yes: tcpd does not know the addresses of clients",
                Some("set flags = NOLIBWRAP if the rules do not matter to it"),
            );
            return (program, name);
        }
        if daemon != file_name(&program) {
            self.report.obstacle(
                format!(
                    "tcpd would look for rules of {}, not of {daemon}",
                    file_name(&program)
                ),
                Some("change the rules, or set flags = NOLIBWRAP"),
            );
            return (program, name);
        }
        if !self.host.is_executable(TCPD) {
            let why = format!("--tcpd: there is no {TCPD}");
            self.report.obstacle(why, Some("apt install tcpd"));
        }
        let text =
            "tcpd applies their rules and starts the program, which gets its path as its name";
        self.report.add(Fate::Otherwise, attribute, position, text);
        (TCPD.into(), program)
    }

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
                self.report.obstacle("it has no user", None);
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
        self.report.obstacle(
            format!("{what} = {number}: systemd needs an entry for this number, and there is none"),
            Some("give it the name of an existing one"),
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

    /// The environment.
    pub(super) fn environment(&mut self) {
        let service = self.service;
        let mut set: Vec<String> = Vec::new();
        if let Some(setting) = service.setting("env") {
            for word in &setting.values {
                let Some(text) = text(word) else {
                    self.not_text(word);
                    continue;
                };
                if text.parse::<Variable>().is_err() {
                    let why = format!("env = {word}: systemd accepts no such name of a variable");
                    self.report
                        .obstacle(why, Some("call the program from a script"));
                }
                let name = text.split('=').next().unwrap_or_default();
                set.push(name.to_owned());
                let line = format!("Environment={}", environment_word(&text));
                self.imported.service.push(line);
            }
            self.kept("env", setting, "Environment=");
        }
        let mut passed: Vec<String> = Vec::new();
        let mut more: &[&str] = &[];
        if let Some(setting) = service.setting("passenv") {
            more = &["LANG", "PATH"];
            passed.extend(setting.values.iter().filter_map(text));
            let mut names = Vec::new();
            for name in passed.iter().filter(|name| !more.contains(&name.as_str())) {
                match format!("{name}=").parse::<Variable>() {
                    Ok(_) => names.push(name.as_str()),
                    Err(_) => {
                        let why = format!("passenv = {name}: it cannot be the name of a variable");
                        self.report.obstacle(why, None);
                    }
                }
            }
            if !names.is_empty() {
                let line = format!("PassEnvironment={}", names.join(" "));
                self.imported.service.push(line);
            }
            self.otherwise(
                "passenv",
                setting,
                "PassEnvironment= and UnsetEnvironment=; some variables of systemd remain, such as INVOCATION_ID",
            );
        }
        let unset = units::unset(&self.start, more, |name| {
            let is_name = |other: &String| other == name;
            set.iter().any(is_name) || passed.iter().any(is_name)
        });
        self.imported.service.extend(unset);
        let (what, text) = match self.start {
            Start::Serve => (
                "REMOTE_HOST",
                "an IPv4 address has no ::ffff: before it; REMOTE_ADDR and REMOTE_PORT are set too",
            ),
            Start::Waits(_) => ("REMOTE_HOST with wait = yes", "it is not set"),
            Start::Datagrams | Start::Proxy(_) => return,
        };
        self.report.add(Fate::Otherwise, what, None, text);
        self.report.add(
            Fate::Otherwise,
            "standard error",
            None,
            "the journal; xinetd passes the connection",
        );
    }

    /// umask, nice and resource limits.
    pub(super) fn process(&mut self) {
        if let Some((umask, setting)) = self.value("umask") {
            // xinetd takes white space such as a carriage return after a number.
            match u32::from_str_radix(umask.trim(), 8) {
                Ok(umask) => self.directive("umask", setting, format!("UMask={umask:04o}")),
                Err(_) => self.unreadable("umask", &umask),
            }
        }
        self.nice();
        for (name, directive) in [
            ("rlimit_as", "LimitAS"),
            ("rlimit_cpu", "LimitCPU"),
            ("rlimit_data", "LimitDATA"),
            ("rlimit_files", "LimitNOFILE"),
            ("rlimit_stack", "LimitSTACK"),
        ] {
            if let Some((value, setting)) = self.value(name) {
                match limit(&value) {
                    Some(limit) => self.directive(name, setting, format!("{directive}={limit}")),
                    None => self.unreadable(name, &value),
                }
            }
        }
        if self.service.setting("rlimit_files").is_none() {
            self.report.add(
                Fate::Otherwise,
                "open files",
                None,
                "the program may raise the limit of the unit itself; xinetd raises it for the program",
            );
        }
        if let Some(setting) = self.service.setting("rlimit_rss") {
            self.kept(
                "rlimit_rss",
                setting,
                "it has no effect: Linux ignores this limit",
            );
        }
    }

    pub(super) fn nice(&mut self) {
        if let Some((nice, setting)) = self.value("nice") {
            match nice.trim().parse::<i32>() {
                Ok(number) => {
                    let line = format!("Nice={}", number.clamp(-20, 19));
                    self.directive("nice", setting, line);
                }
                Err(_) => self.unreadable("nice", &nice),
            }
        }
    }

    fn directive(&mut self, name: &str, setting: &Setting, line: String) {
        self.kept(name, setting, &line);
        self.imported.service.push(line);
    }

    fn unreadable(&mut self, name: &str, value: &str) {
        let why = format!("{name} = {value}: it cannot be read");
        self.report.obstacle(why, Some("write a plain number"));
    }
}

/// A resource limit as systemd reads it.
fn limit(value: &str) -> Option<String> {
    let value = value.trim().to_ascii_uppercase();
    if value == "UNLIMITED" {
        return Some("infinity".into());
    }
    let (digits, factor) = match value.as_bytes().last()? {
        b'K' => (&value[..value.len() - 1], 1024),
        b'M' => (&value[..value.len() - 1], 1024 * 1024),
        _ => (value.as_str(), 1),
    };
    let number: u64 = digits.trim().parse().ok()?;
    Some(number.checked_mul(factor)?.to_string())
}
