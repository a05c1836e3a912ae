//! What a program finds in its process: the environment, umask, nice and resource limits.

use std::net::IpAddr;

use super::super::text;
use super::super::units::{self, Socket, Start};
use super::{Converter, Fate};
use crate::attach::Variable;
use crate::superserver::xinetd::{Address, Setting};
use crate::systemd::quote::environment_word;

/// Resource limits, and their directives.
const LIMITS: [(&str, &str); 5] = [
    ("rlimit_as", "LimitAS"),
    ("rlimit_cpu", "LimitCPU"),
    ("rlimit_data", "LimitDATA"),
    ("rlimit_files", "LimitNOFILE"),
    ("rlimit_stack", "LimitSTACK"),
];

/// What systemd sets in every unit, and `passenv` passes on only if it has them.
const OF_MANAGER: [&str; 2] = ["LANG", "PATH"];

impl Converter<'_> {
    /// Whether the program has resource limits.
    pub(super) fn has_limits(&self) -> bool {
        let is_set = |(name, _): &(&str, &str)| self.service.setting(name).is_some();
        self.built_in.is_none() && LIMITS.iter().any(is_set)
    }

    /// The environment.
    pub(super) fn environment(&mut self) {
        let set = self.env();
        let passed = self.passenv();
        let more: &[&str] = match passed {
            Some(_) => &OF_MANAGER,
            None => &[],
        };
        let unset = units::unset(more, |name| {
            let is_name = |other: &String| other == name;
            set.iter().chain(passed.iter().flatten()).any(is_name)
        });
        self.imported.service.extend(unset);
        self.differences();
    }

    /// The variables of `env`, which are set.
    fn env(&mut self) -> Vec<String> {
        let mut set = Vec::new();
        let Some(setting) = self.service.setting("env") else {
            return set;
        };
        let mut refused = Vec::new();
        for word in &setting.values {
            let Some(text) = text(word) else {
                self.not_text(word);
                continue;
            };
            if text.parse::<Variable>().is_err() {
                refused.push(text);
                continue;
            }
            let name = text.split('=').next().unwrap_or_default();
            set.push(name.to_owned());
            let line = format!("Environment={}", environment_word(&text));
            self.imported.service.push(line);
        }
        if !self.host.is_public(&setting.position.file) {
            self.report.obstacle(
                "env: not everybody can read its file, but everybody can read a unit",
                Some(
                    "move secrets to a file that only the user of the service can read; if \
                     there are none, let everybody read the file",
                ),
            );
        }
        match refused.is_empty() {
            true => self.kept("env", setting, "Environment="),
            false => {
                let text = format!(
                    "systemd does not set {}: the name of a variable has only letters, digits \
                     and _; a script that starts the program can set it",
                    refused.join(", ")
                );
                self.lost("env", setting, &text);
            }
        }
        set
    }

    /// The variables of `passenv`, which are passed on; `None` without it.
    fn passenv(&mut self) -> Option<Vec<String>> {
        let setting = self.service.setting("passenv")?;
        let passed: Vec<String> = setting.values.iter().filter_map(text).collect();
        let mut names = Vec::new();
        let others = passed
            .iter()
            .filter(|name| !OF_MANAGER.contains(&name.as_str()));
        for name in others {
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
            "PassEnvironment= and UnsetEnvironment=; some variables of systemd remain, such \
             as INVOCATION_ID",
        );
        Some(passed)
    }

    /// What is not as under xinetd, whatever the file has.
    fn differences(&mut self) {
        let (what, text) = match self.start {
            Start::Serve | Start::Waits(Socket::Datagram) => (
                "REMOTE_HOST",
                match self.service.socket.address {
                    // The addresses of its clients are not mapped.
                    Address::One(IpAddr::V4(_)) => "REMOTE_ADDR and REMOTE_PORT are set too",
                    _ => {
                        "an IPv4 address has no ::ffff: before it; REMOTE_ADDR and REMOTE_PORT are set too"
                    }
                },
            ),
            Start::Waits(Socket::Stream) => (
                "REMOTE_HOST with wait = yes and stream sockets",
                "it is not set",
            ),
            Start::Datagrams | Start::Proxy(_) => return,
        };
        let mut otherwise = |what: &str, text: &str| {
            self.report.add(Fate::Otherwise, what, None, text);
        };
        otherwise(what, text);
        otherwise(
            "standard error",
            "the journal; xinetd passes the connection",
        );
        otherwise("the process that listens", units::LISTENER);
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
        for (name, directive) in LIMITS {
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
