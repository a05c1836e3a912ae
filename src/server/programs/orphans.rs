//! Orphaned processes: processes that programs started and that outlive them.
//!
//! When a program has exited, its process group receives SIGTERM. A process that ignores the signal
//! or has left the group becomes a child of this process (a subreaper) when its parent exits. The
//! kernel does not tell which program such a process belongs to. But it cannot belong to a program
//! that was started later than it. So it is stopped as soon as all connections that were open when
//! it was started have ended.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::children::{self, Child};
use super::wait::wait_for_any;

/// How often it is checked whether all processes have ended when the service stops.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// The shortest time between two searches.
const INTERVAL: Duration = Duration::from_secs(1);

/// A search that takes a time T is repeated after T times this factor at the earliest.
const SEARCH_FACTOR: u32 = 20;

/// Finds and stops orphaned processes.
#[derive(Debug)]
pub struct Orphans {
    grace: Duration,
    /// Children that this process had before it started any program: of a process that executed
    /// this program.
    inherited: Vec<Child>,
    /// The process groups of programs that have exited, until a search finds no member.
    groups: HashSet<Pid>,
    /// Processes that received SIGTERM, and when they will receive SIGKILL.
    terminating: HashMap<Pid, Instant>,
    /// A process ended, whose children may be orphans now.
    search: bool,
    next_search: Instant,
}

impl Orphans {
    /// `grace` is the time between SIGTERM and SIGKILL.
    pub fn new(grace: Duration, now: Instant) -> Orphans {
        Orphans {
            grace,
            inherited: children::others(|_| false),
            groups: HashSet::new(),
            terminating: HashMap::new(),
            search: false,
            next_search: now,
        }
    }

    /// A program has exited, and its process group received SIGTERM.
    pub fn on_program_exit(&mut self, program: Pid) {
        self.groups.insert(program);
    }

    /// An orphaned process has ended.
    pub fn on_exit(&mut self, pid: Pid) {
        self.terminating.remove(&pid);
        self.search = true;
    }

    /// When [`Orphans::maintain`] has something to do.
    pub fn due_at(&self) -> Option<Instant> {
        let any = self.search || !self.groups.is_empty() || !self.terminating.is_empty();
        any.then_some(self.next_search)
    }

    /// Finds orphaned processes and stops them, if a search is due. `is_program` returns whether a
    /// process is a running program; `oldest` is when the oldest open connection was accepted, in
    /// clock ticks since boot.
    pub fn maintain(
        &mut self,
        is_program: impl Fn(Pid) -> bool,
        oldest: Option<i64>,
        now: Instant,
    ) {
        if self.due_at().is_none_or(|due| now < due) {
            return;
        }
        let search_start = Instant::now();
        self.search = false;
        let others = self.others(&is_program);
        let mut terminating = HashMap::new();
        for child in &others {
            let in_group = self.groups.contains(&child.group) && child.group != child.pid;
            let of_ended_program = in_group && !is_program(child.group);
            if !(of_ended_program || is_older(child, oldest)) {
                continue;
            }
            let until = self.terminating.get(&child.pid).copied();
            let signal = match until {
                Some(until) if until <= now => Some(Signal::SIGKILL),
                Some(_) => None,
                None => Some(Signal::SIGTERM),
            };
            // No other process has the ID of a child that has not been waited for.
            let _ = kill(child.pid, signal);
            terminating.insert(child.pid, until.unwrap_or(now + self.grace));
        }
        self.groups
            .retain(|group| others.iter().any(|child| child.group == *group));
        self.groups.shrink_to(64);
        self.terminating = terminating;
        self.next_search = now + INTERVAL.max(search_start.elapsed() * SEARCH_FACTOR);
    }

    /// Stops all programs and orphaned processes: sends SIGTERM, and SIGKILL after `grace`. Returns
    /// when all have ended, or `kill_timeout` after SIGKILL.
    pub fn stop_all(&self, grace: Duration, kill_timeout: Duration) {
        let start = Instant::now();
        let mut terminated = HashSet::new();
        loop {
            while wait_for_any().is_some() {}
            let others = self.others(|_| false);
            let elapsed = start.elapsed();
            if others.is_empty() || elapsed >= grace + kill_timeout {
                return;
            }
            for child in others {
                if elapsed >= grace {
                    let _ = kill(child.pid, Signal::SIGKILL);
                } else if terminated.insert(child.pid) {
                    let _ = kill(child.pid, Signal::SIGTERM);
                }
            }
            std::thread::sleep(STOP_CHECK_INTERVAL);
        }
    }

    /// The children that are neither programs nor inherited.
    fn others(&self, is_program: impl Fn(Pid) -> bool) -> Vec<Child> {
        let mut others = children::others(is_program);
        let inherited = |child: &Child| {
            let same = |other: &Child| (other.pid, other.started) == (child.pid, child.started);
            self.inherited.iter().any(same)
        };
        others.retain(|child| !inherited(child));
        others
    }
}

/// Returns whether a process is older than all open connections.
fn is_older(child: &Child, oldest: Option<i64>) -> bool {
    oldest.is_none_or(|oldest| child.started < oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_may_belong_to_an_open_connection_is_kept() {
        let child = Child {
            pid: Pid::from_raw(7),
            group: Pid::from_raw(7),
            started: 100,
        };
        assert!(is_older(&child, None));
        assert!(is_older(&child, Some(101)));
        assert!(!is_older(&child, Some(100)));
        assert!(!is_older(&child, Some(99)));
    }
}
