//! What programs leave behind.
//!
//! A program's process group gets SIGTERM when the program has ended. Who ignores that, or has left
//! the group, becomes a child of this process once its own parent has ended, and is found here.
//! Nothing says which program such a stranger comes from; but it cannot come from one that began
//! after it. So it is ended as soon as every connection is over that was there when it began.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::children::{self, Child};
use super::wait::wait_for_any;

/// How often it is looked whether they have ended, at the end.
const BREATH: Duration = Duration::from_millis(5);

/// How often they are looked for at most.
const EVERY: Duration = Duration::from_secs(1);

/// Of the time no more than one part in so many is spent on looking.
const PART: u32 = 20;

/// Looks for them.
#[derive(Debug)]
pub struct Orphans {
    grace: Duration,
    /// Children that were there before there was any program.
    before: Vec<Child>,
    /// The groups of programs that have ended since they were looked for last, or have members still.
    groups: HashSet<Pid>,
    /// Those that were told to end, and when they will be made to.
    told: HashMap<Pid, Instant>,
    /// There may be others, whose parent has ended.
    more: bool,
    /// When they may be looked for again.
    next: Instant,
}

impl Orphans {
    /// `grace` is how long they have to end when they are told to.
    pub fn new(grace: Duration, now: Instant) -> Orphans {
        Orphans {
            grace,
            before: children::others(|_| false),
            groups: HashSet::new(),
            told: HashMap::new(),
            more: false,
            next: now,
        }
    }

    /// A program has ended, and its group was told to.
    pub fn may_be_of(&mut self, program: Pid) {
        self.groups.insert(program);
    }

    /// One of them has ended, and may have left others.
    pub fn ended(&mut self, pid: Pid) {
        self.told.remove(&pid);
        self.more = true;
    }

    /// When they are to be looked for.
    pub fn due(&self) -> Option<Instant> {
        let any = self.more || !self.groups.is_empty() || !self.told.is_empty();
        any.then_some(self.next)
    }

    /// Looks for them. `known` are the programs that run, and `oldest` is when the first of the
    /// connections that are still there began.
    pub fn look(&mut self, known: impl Fn(Pid) -> bool, oldest: Option<i64>, now: Instant) {
        if self.due().is_none_or(|due| now < due) {
            return;
        }
        let begun = Instant::now();
        self.more = false;
        let others = self.others(&known);
        let mut told = HashMap::new();
        for child in &others {
            let left_behind = self.groups.contains(&child.group) && child.group != child.pid;
            if !(left_behind && !known(child.group) || of_nobody(child, oldest)) {
                continue;
            }
            let until = self.told.get(&child.pid).copied();
            let signal = match until {
                Some(until) if until <= now => Some(Signal::SIGKILL),
                Some(_) => None,
                None => Some(Signal::SIGTERM),
            };
            // A child's number is nobody else's before it is waited for, which is not done here.
            let _ = kill(child.pid, signal);
            told.insert(child.pid, until.unwrap_or(now + self.grace));
        }
        self.groups
            .retain(|group| others.iter().any(|child| child.group == *group));
        self.groups.shrink_to(64);
        self.told = told;
        self.next = now + EVERY.max(begun.elapsed() * PART);
    }

    /// Ends all that programs have left, and the programs: tells them to, and kills those that have not
    /// ended after `grace`. What is still there after `last` more is beyond this.
    pub fn end_all(&self, grace: Duration, last: Duration) {
        let begun = Instant::now();
        let mut told = HashSet::new();
        loop {
            while wait_for_any().is_some() {}
            let others = self.others(|_| false);
            let past = begun.elapsed();
            if others.is_empty() || past >= grace + last {
                return;
            }
            for child in others {
                if past >= grace {
                    let _ = kill(child.pid, Signal::SIGKILL);
                } else if told.insert(child.pid) {
                    let _ = kill(child.pid, Signal::SIGTERM);
                }
            }
            std::thread::sleep(BREATH);
        }
    }

    /// The children but those that `known` knows, and those of whoever was this process before.
    fn others(&self, known: impl Fn(Pid) -> bool) -> Vec<Child> {
        let mut others = children::others(known);
        let before = |child: &Child| {
            let same = |other: &Child| (other.pid, other.begun) == (child.pid, child.begun);
            self.before.iter().any(same)
        };
        others.retain(|child| !before(child));
        others
    }
}

/// Whether it began before every connection that is still there.
fn of_nobody(child: &Child, oldest: Option<i64>) -> bool {
    oldest.is_none_or(|oldest| child.begun < oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_come_from_a_connection_that_is_there_is_left_alone() {
        let child = Child {
            pid: Pid::from_raw(7),
            group: Pid::from_raw(7),
            begun: 100,
        };
        assert!(of_nobody(&child, None));
        assert!(of_nobody(&child, Some(101)));
        assert!(!of_nobody(&child, Some(100)));
        assert!(!of_nobody(&child, Some(99)));
    }
}
