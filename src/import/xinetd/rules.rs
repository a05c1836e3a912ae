//! Who may connect, and what refused clients read.

use std::path::PathBuf;

use super::super::access::{self, Family, List};
use super::super::units::{Socket, Start};
use super::{Converter, Fate};
use crate::server::MAX_BANNER;
use crate::superserver::xinetd::Setting;

impl Converter<'_> {
    /// Access lists, access times and the load limit.
    pub(super) fn access(&mut self, family: Family) {
        if self.start == Start::Waits(Socket::Stream) {
            self.lists_of_listener();
        } else {
            self.only_from(family);
            self.no_access(family);
        }
        if self.start == Start::Waits(Socket::Datagram) && self.rules.has_lists() {
            let text = "they apply to the datagram that starts the program, as under xinetd";
            let what = "access lists for datagrams";
            self.report.add(Fate::Kept, what, None, text);
        }
        self.access_times();
        if let Some(setting) = self.service.setting("deny_time") {
            self.kept(
                "deny_time",
                setting,
                "it has no effect without flags = SENSOR",
            );
        }
    }

    /// The access lists of a service whose program accepts connections itself.
    fn lists_of_listener(&mut self) {
        for name in ["only_from", "no_access"] {
            if let Some(setting) = self.service.setting(name) {
                let text = "xinetd does not apply it to wait = yes and stream sockets, and the units do not either";
                self.kept(name, setting, text);
            }
        }
    }

    /// A rule that is kept. Connections that it refuses wait in the backlog if the program accepts them.
    pub(super) fn waits_or_kept(&mut self, name: &str, setting: &Setting, text: &str) {
        match self.start {
            Start::Waits(Socket::Stream) => {
                let text = format!("{text}; meanwhile, new connections wait in the backlog");
                self.otherwise(name, setting, &text);
            }
            _ => self.kept(name, setting, text),
        }
    }

    fn only_from(&mut self, family: Family) {
        let Some(setting) = self.service.setting("only_from") else {
            return;
        };
        let List { networks, hosts } = access::list(&setting.patterns, family);
        if networks.is_empty() && !hosts.is_empty() {
            self.report.obstacle(
                format!("only_from has only names of hosts: {}", hosts.join(", ")),
                Some("put their addresses into only_from: sockunit serve looks up no names"),
            );
            return;
        }
        if networks.is_empty() {
            self.rules.deny.extend(access::everything());
            self.kept(
                "only_from",
                setting,
                "nobody may connect: --deny for all addresses",
            );
            return;
        }
        self.rules.allow = networks;
        match hosts.is_empty() {
            true => self.kept("only_from", setting, "--allow"),
            false => {
                let text = format!(
                    "--allow for the addresses; refused from now on: {}; put their addresses into only_from",
                    hosts.join(", ")
                );
                self.lost("only_from", setting, &text);
            }
        }
    }

    fn no_access(&mut self, family: Family) {
        let Some(setting) = self.service.setting("no_access") else {
            return;
        };
        let List { networks, hosts } = access::list(&setting.patterns, family);
        if !hosts.is_empty() {
            self.report.obstacle(
                format!("no_access has names of hosts: {}", hosts.join(", ")),
                Some("put their addresses into no_access: sockunit serve looks up no names"),
            );
        }
        self.rules.deny.extend(networks);
        self.kept("no_access", setting, "--deny");
    }

    fn access_times(&mut self) {
        let Some(setting) = self.service.setting("access_times") else {
            return;
        };
        for word in &setting.values {
            let range = range(&word.to_string()).and_then(|text| text.parse().ok());
            match range {
                Some(range) => self.rules.access_times.push(range),
                None => {
                    let why = format!("access_times = {word}: it cannot be read");
                    self.report.obstacle(why, None);
                }
            }
        }
        let text = "--access-times, whose end is a minute later: xinetd includes the last minute";
        self.waits_or_kept("access_times", setting, text);
    }

    /// The files that are sent to clients.
    pub(super) fn banners(&mut self, user: Option<&str>) {
        let [banner, success, fail] =
            ["banner", "banner_success", "banner_fail"].map(|name| self.banner(name, user));
        self.rules.banner = banner.iter().chain(&success).cloned().collect();
        self.rules.refused_banner = banner.into_iter().chain(fail).collect();
    }

    fn banner(&mut self, name: &str, user: Option<&str>) -> Option<PathBuf> {
        let (path, setting) = self.value(name)?;
        if self.start != Start::Serve {
            let text = "nothing but the program sends to its clients";
            self.lost(name, setting, text);
            return None;
        }
        let path = PathBuf::from(path);
        if user.is_none() && self.built_in.is_none() {
            return None;
        }
        match self.host.readable(&path, user) {
            Ok(size) if size > MAX_BANNER as u64 => {
                let text = format!("it has {size} bytes, and at most {MAX_BANNER} can be sent");
                self.lost(name, setting, &text);
                None
            }
            Ok(_) => {
                let text = match name {
                    "banner" => {
                        "--banner and --refused-banner; it comes after the checks, not before"
                    }
                    "banner_success" => "--banner",
                    _ => "--refused-banner",
                };
                self.add(Fate::Kept, name, setting, text);
                Some(path)
            }
            Err(why) => {
                let text = format!("{why}; sockunit serve reads it as the user of the service");
                self.lost(name, setting, &text);
                None
            }
        }
    }
}

/// An interval of xinetd, of which the last minute is a part, as a range without it.
fn range(text: &str) -> Option<String> {
    let (start, end) = text.split_once('-')?;
    let minutes = |time: &str| -> Option<u32> {
        let (hour, minute) = time.split_once(':')?;
        let number = |digits: &str| match digits {
            "" => Some(0),
            digits => digits.parse::<u32>().ok(),
        };
        Some(number(hour)? * 60 + number(minute)?)
    };
    let (start, end) = (minutes(start)?, minutes(end)? + 1);
    Some(format!(
        "{:02}:{:02}-{:02}:{:02}",
        start / 60,
        start % 60,
        end / 60,
        end % 60
    ))
}
