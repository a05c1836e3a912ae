//! Which process serves a connection.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp, Unit};
use nix::time::{ClockId, clock_gettime};

use crate::conflicts::Process;

/// The units of a service that have processes.
pub(super) struct OwnUnits<'a> {
    /// The service name.
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
        let origins = processes.iter().map(|p| (*p, Origin::of(p.pid)));
        let origins: Vec<(&Process, Option<Origin>)> = origins.collect();
        let parent = |origin: &Option<Origin>| origin.map(|origin| origin.parent);
        let pids: HashSet<u32> = processes.iter().map(|p| p.pid).collect();
        let is_main = |(_, origin): &&(&Process, Option<Origin>)| {
            !parent(origin).is_some_and(|parent| pids.contains(&parent))
        };
        let (main, main_origin) = origins.iter().find(is_main)?;
        let unit = main.unit.as_ref()?.name.clone();
        let children = origins.iter().filter(|(_, o)| parent(o) == Some(main.pid));
        let program = children.min_by_key(|(_, origin)| origin.map(|origin| origin.started));
        let (server, since) = match (unit.contains('@'), program) {
            (true, _) => (main, main_origin.and_then(Origin::time)),
            (false, Some((program, origin))) => (program, origin.and_then(Origin::time)),
            // The caller may not see `serve --isolate`, which has started it.
            (false, None) if main_origin.is_some_and(Origin::is_program) => {
                (main, main_origin.and_then(Origin::time))
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

/// Where a process comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    parent: u32,
    /// When it was started, in clock ticks since boot.
    started: i64,
}

impl Origin {
    fn of(pid: u32) -> Option<Origin> {
        Origin::parse(&fs::read(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?)
    }

    /// Parses /proc/PID/stat.
    fn parse(stat: &[u8]) -> Option<Origin> {
        // The second field is the command name in parentheses, which may contain any byte.
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Origin {
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether something else than a service manager has started it.
    fn is_program(self) -> bool {
        let parent = fs::read_to_string(format!("/proc/{}/comm", self.parent));
        parent.is_ok_and(|name| name.trim_end() != "systemd")
    }

    /// The time of its start.
    fn time(self) -> Option<Timestamp> {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
        // USER_HZ is 100 on all architectures of Debian.
        let started = SignedDuration::from_millis(self.started.checked_mul(10)?);
        let age = SignedDuration::new(now.tv_sec(), i32::try_from(now.tv_nsec()).ok()?) - started;
        // More digits would differ from one call to the next.
        Timestamp::now()
            .checked_sub(age)
            .ok()?
            .round(Unit::Second)
            .ok()
    }
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
    fn the_parent_and_the_start_of_a_process_are_read_whatever_its_name_is() {
        let stat = b"12 (a) b) S 7 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 0 0\n";
        let origin = Origin::parse(stat).unwrap();
        assert_eq!((origin.parent, origin.started), (7, 4711));
        let before = Timestamp::now();
        let own = Origin::of(std::process::id()).unwrap().time().unwrap();
        assert!(own <= before + SignedDuration::from_secs(1), "{own}");
    }
}
