//! Which process serves a connection.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit};
use nix::time::{ClockId, clock_gettime};

use crate::conflicts::Process;
use crate::process_stat::ProcessStat;

/// The units of a service that have processes.
pub(super) struct OwnUnits<'a> {
    pub(super) name: &'a str,
    /// Whether they are units of a user's service manager.
    pub(super) of_user: bool,
}

impl OwnUnits<'_> {
    /// Whether the process belongs to one.
    pub(super) fn have(&self, process: &Process) -> bool {
        let Some(unit) = &process.unit else {
            return false;
        };
        let rest = unit.name.strip_prefix(self.name);
        let own = rest.is_some_and(|rest| {
            rest == ".service" || rest.starts_with('@') && rest.ends_with(".service")
        });
        own && unit.of_user == self.of_user
    }
}

/// The process that serves a connection.
pub(super) struct Server {
    pub(super) pid: u32,
    pub(super) unit: String,
    pub(super) since: Option<Timestamp>,
}

impl Server {
    /// Chooses it among the processes that have the socket open: the main process of the unit is the
    /// one whose parent is none of them. In a shared service, it has started the program, whose start
    /// is that of the connection; if it serves the connection itself, the start is not known.
    pub(super) fn among(processes: &[&Process]) -> Option<Server> {
        let stats = processes.iter().map(|p| (*p, ProcessStat::of(p.pid)));
        let stats: Vec<(&Process, Option<ProcessStat>)> = stats.collect();
        let parent = |stat: &Option<ProcessStat>| stat.map(|stat| stat.parent);
        let pids: HashSet<u32> = processes.iter().map(|p| p.pid).collect();
        let is_main = |(_, stat): &&(&Process, Option<ProcessStat>)| {
            !parent(stat).is_some_and(|parent| pids.contains(&parent))
        };
        let (main, main_stat) = stats.iter().find(is_main)?;
        let unit = main.unit.as_ref()?.name.clone();
        let children = stats.iter().filter(|(_, s)| parent(s) == Some(main.pid));
        let program = children.min_by_key(|(_, stat)| stat.map(|stat| stat.started));
        let (server, since) = match (unit.contains('@'), program) {
            (true, _) => (main, main_stat.and_then(start_time)),
            (false, Some((program, stat))) => (program, stat.and_then(start_time)),
            // The caller may not see `serve --isolate`, which has started it.
            (false, None) if main_stat.is_some_and(is_program) => {
                (main, main_stat.and_then(start_time))
            }
            (false, None) => (main, None),
        };
        Some(Server {
            pid: server.pid,
            unit,
            since,
        })
    }
}

/// Whether something else than a service manager has started the process.
fn is_program(process: ProcessStat) -> bool {
    let parent = fs::read_to_string(format!("/proc/{}/comm", process.parent));
    parent.is_ok_and(|name| name.trim_end() != "systemd")
}

/// The time at which the process was started.
fn start_time(process: ProcessStat) -> Option<Timestamp> {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    // USER_HZ is 100 on all architectures of Debian.
    let started = SignedDuration::from_millis(process.started.checked_mul(10)?);
    let age = SignedDuration::try_from(Duration::from(now)).ok()? - started;
    // More digits would differ from one call to the next.
    Timestamp::now()
        .checked_sub(age)
        .ok()?
        .round(Unit::Second)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conflicts::ProcessUnit;

    #[test]
    fn a_process_is_of_a_service_by_its_unit_and_manager() {
        let own = OwnUnits {
            name: "a",
            of_user: false,
        };
        for (name, of_user, is_own) in [
            ("a.service", false, true),
            ("a@7-127.0.0.1:80-[::1]:1.service", false, true),
            ("a.service", true, false),
            ("ab.service", false, false),
            ("ab@7.service", false, false),
            ("a@7.scope", false, false),
        ] {
            let name = name.to_owned();
            let process = Process {
                pid: 1,
                command: String::new(),
                unit: Some(ProcessUnit { name, of_user }),
            };
            assert_eq!(own.have(&process), is_own, "{process:?}");
        }
    }

    #[test]
    fn the_start_of_a_process_is_a_time() {
        let before = Timestamp::now();
        let own = start_time(ProcessStat::of(std::process::id()).unwrap()).unwrap();
        assert!(own <= before + SignedDuration::from_secs(1), "{own}");
        assert!(own >= before - SignedDuration::from_hours(24), "{own}");
    }
}
