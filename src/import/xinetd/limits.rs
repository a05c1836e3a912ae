//! Limits on connections.

use std::time::Duration;

use super::super::units::{Socket, Start, UNLIMITED, rate_of_source};
use super::{Converter, Fate};
use crate::attach::Kind;
use crate::server::SourcePrefix;

/// xinetd's default of `cps`.
const CPS: (u32, u64) = (50, 10);
const DEFAULT_CPS: &str = "cps = 50 10";

impl Converter<'_> {
    /// The concurrency limits: of all connections, and of those of an address.
    pub(super) fn limits(&mut self) -> (u32, u32) {
        self.rate();
        self.max_load();
        let one = match self.start {
            Start::Datagrams => Some("xinetd does not count datagrams"),
            Start::Waits(_) => Some("one process runs at a time"),
            Start::Serve | Start::Proxy(_) => None,
        };
        if let Some(text) = one {
            self.instances(text);
            return (1, 1);
        }
        let option = match self.start {
            Start::Proxy(_) => "--connections-max of systemd-socket-proxyd",
            _ => "--max-connections",
        };
        let instances = self.limit("instances", option);
        let per_source = self.limit("per_source", "--per-source");
        if instances.is_none() {
            let text = format!("at most {UNLIMITED} connections at once");
            match self.service.setting("instances") {
                Some(setting) => self.otherwise("instances", setting, &text),
                None => {
                    let what = "instances = UNLIMITED";
                    self.report.add(Fate::Otherwise, what, None, text);
                }
            }
        }
        let instances = instances.unwrap_or(UNLIMITED);
        (instances, per_source.unwrap_or(instances))
    }

    /// Limits that never count more than one.
    fn instances(&mut self, text: &str) {
        for name in ["instances", "per_source"] {
            if let Some((value, setting)) = self.value(name) {
                let is_zero = value.trim().parse::<i64>().is_ok_and(|number| number < 1);
                match is_zero {
                    true => self.refuses_all(name, &value),
                    false => self.kept(name, setting, text),
                }
            }
        }
    }

    fn refuses_all(&mut self, name: &str, value: &str) {
        let why = format!("{name} = {value}: xinetd refuses every connection");
        let hint = "set disable = yes, or a limit of at least 1";
        self.report.obstacle(why, Some(hint));
    }

    fn limit(&mut self, name: &str, option: &str) -> Option<u32> {
        let (value, setting) = self.value(name)?;
        if value.eq_ignore_ascii_case("UNLIMITED") {
            if name == "per_source" {
                self.kept(name, setting, "no limit but that of all connections");
            }
            return None;
        }
        match value.trim().parse::<i64>().map(u32::try_from) {
            Ok(Ok(number @ 1..)) => {
                self.kept(name, setting, option);
                if name == "per_source" {
                    self.shared.source_prefix = SourcePrefix::WHOLE;
                }
                Some(number)
            }
            _ => {
                let why = format!("{name} = {value}: xinetd refuses every connection");
                self.report
                    .obstacle(why, Some("set disable = yes, or a limit of at least 1"));
                None
            }
        }
    }

    fn rate(&mut self) {
        let setting = self.service.setting("cps");
        let numbers = setting.map(|setting| {
            let mut numbers = setting.values.iter();
            let mut number = || numbers.next()?.to_string().parse::<u64>().ok();
            (number(), number())
        });
        let (rate, pause) = match numbers {
            None => CPS,
            Some((Some(0), _)) => {
                if let Some(setting) = setting {
                    self.kept("cps", setting, "no limit");
                }
                return;
            }
            Some((Some(rate), Some(pause))) if u32::try_from(rate).is_ok() => (rate as u32, pause),
            Some(_) => {
                self.report.obstacle("cps: it cannot be read", None);
                return;
            }
        };
        if let Start::Proxy(_) = self.start {
            let text = "systemd-socket-proxyd accepts connections at any rate; with a line cps, sockunit serve does it instead";
            let what = "cps = 50 10 with redirect";
            self.report.add(Fate::Lost, what, None, text);
            return;
        }
        if self.kind() == Kind::PerConnection {
            let text = "with resource limits, each connection has a unit of its own, and no process counts them";
            match setting {
                Some(setting) => self.lost("cps", setting, text),
                None => {
                    // It is so for this service, and not for all with the default.
                    let position = Some(&self.service.position);
                    self.report.add(Fate::Lost, DEFAULT_CPS, position, text);
                }
            }
            return;
        }
        self.rules.rate = rate.to_string().parse().ok();
        self.rules.rate_pause = (pause > 0).then(|| Duration::from_secs(pause));
        let of_datagrams;
        let text = match self.start {
            Start::Datagrams | Start::Waits(Socket::Datagram) => {
                let (rate, added) = rate_of_source(self.rules.rate);
                self.shared.rate_per_source = rate;
                of_datagrams = format!(
                    "--rate and --rate-pause: datagrams get no answer in the pause; xinetd closes the port; {added}"
                );
                &of_datagrams
            }
            Start::Waits(Socket::Stream) => {
                "--rate and --rate-pause: new connections wait in the pause; xinetd closes the port"
            }
            _ => {
                "--rate and --rate-pause: new connections are closed at once in the pause; xinetd closes the port"
            }
        };
        match setting {
            Some(setting) => self.otherwise("cps", setting, text),
            None => self.report.add(Fate::Otherwise, DEFAULT_CPS, None, text),
        }
    }

    fn max_load(&mut self) {
        let Some((value, setting)) = self.value("max_load") else {
            return;
        };
        // What follows the number does not count.
        let lengths = (1..=value.len())
            .rev()
            .filter_map(|length| value.get(..length));
        let load = lengths
            .filter_map(|prefix| prefix.parse::<f64>().ok())
            .next();
        match load {
            Some(load) if load > 0.0 && load.is_finite() => {
                self.rules.max_load = Some(load);
                self.waits_or_kept("max_load", setting, "--max-load");
            }
            _ => {
                let why = format!("max_load = {value}: xinetd refuses every connection");
                self.report.obstacle(why, None);
            }
        }
    }
}
