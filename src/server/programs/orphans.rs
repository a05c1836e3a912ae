//! The processes that programs leave.
//!
//! When a connection has ended, all processes with its tag receive SIGTERM and, after the grace period,
//! SIGKILL, until none is left. A process with no connection's tag is found once its parent has exited:
//! then it is a child of this process (a subreaper). It is stopped as well.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::children::{self, Child};
use super::tag::{Tag, tagged};
use super::wait::wait_for_any;

/// How often it is checked whether all processes have ended when the service stops.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// The longest time between two searches.
const INTERVAL: Duration = Duration::from_secs(1);

/// The shortest time between two searches.
const MIN_INTERVAL: Duration = Duration::from_millis(20);

/// A search that takes a time T is repeated after T times this factor at the earliest.
const SEARCH_FACTOR: u32 = 4;

/// For how long SIGKILL is sent again and again to processes that fork. Other connections wait
/// meanwhile.
const KILL_TIME: Duration = Duration::from_millis(20);

/// Finds and stops the processes that programs leave.
#[derive(Debug)]
pub struct Orphans {
    grace: Duration,
    own_tag: Option<Tag>,
    /// Children that this process had before it started any program: of a process that executed
    /// this program.
    inherited: Vec<Child>,
    /// The tags of connections that have ended, and when their processes receive SIGKILL. They are
    /// forgotten when a search finds no process.
    ended: HashMap<Tag, Instant>,
    /// Processes that received SIGTERM.
    terminated: HashSet<Pid>,
    /// Processes of no connection that received SIGTERM, and when they will receive SIGKILL.
    strays: HashMap<Pid, Instant>,
    /// A process ended, whose children may be strays now.
    search: bool,
    next_search: Instant,
    last_search: Instant,
}

impl Orphans {
    /// `grace` is the time between SIGTERM and SIGKILL.
    pub fn new(grace: Duration, now: Instant) -> Orphans {
        Orphans {
            grace,
            own_tag: Tag::of(Pid::from_raw(0)),
            inherited: children::others(|_| false),
            ended: HashMap::new(),
            terminated: HashSet::new(),
            strays: HashMap::new(),
            search: false,
            next_search: now,
            last_search: now,
        }
    }

    /// A connection has ended. Its processes receive SIGKILL at this time.
    pub fn on_end(&mut self, tag: Tag, kill_at: Instant) {
        self.ended.insert(tag, kill_at);
        let soon = kill_at.max(self.last_search + MIN_INTERVAL);
        self.next_search = self.next_search.min(soon);
    }

    /// An orphaned process has ended.
    pub fn on_exit(&mut self) {
        self.search = true;
    }

    /// When [`Orphans::maintain`] has something to do.
    pub fn due_at(&self) -> Option<Instant> {
        let any = self.search || !self.ended.is_empty() || !self.strays.is_empty();
        any.then_some(self.next_search)
    }

    /// Finds processes and stops them, if a search is due. `is_program` returns whether a process is a
    /// running program, `is_open` whether a tag is that of an open connection.
    pub fn maintain(
        &mut self,
        is_program: impl Fn(Pid) -> bool,
        is_open: impl Fn(Tag) -> bool,
        now: Instant,
    ) {
        if self.due_at().is_none_or(|due| now < due) {
            return;
        }
        let search_start = Instant::now();
        self.search = false;
        let mut found = tagged(|tag| self.ended.contains_key(&tag));
        if found.iter().any(|(_, tag)| self.ended[tag] <= now) {
            kill_all(|tag| self.ended.get(&tag).is_some_and(|at| *at <= now));
            found = tagged(|tag| self.ended.contains_key(&tag));
        }
        for (pid, _) in &found {
            if !self.terminated.contains(pid) {
                terminate(*pid);
            }
        }
        self.terminated = found.iter().map(|(pid, _)| *pid).collect();
        let left: HashSet<Tag> = found.iter().map(|(_, tag)| *tag).collect();
        self.ended.retain(|tag, _| left.contains(tag));
        self.ended.shrink_to(64);
        self.stop_strays(is_program, is_open, now);
        let next = self.ended.values().chain(self.strays.values()).min();
        let next = next.map_or(INTERVAL, |at| at.saturating_duration_since(now));
        self.last_search = Instant::now();
        let least = MIN_INTERVAL.max(search_start.elapsed() * SEARCH_FACTOR);
        self.next_search = now + next.clamp(least, INTERVAL.max(least));
    }

    /// Stops children of this process that belong to no connection.
    fn stop_strays(
        &mut self,
        is_program: impl Fn(Pid) -> bool,
        is_open: impl Fn(Tag) -> bool,
        now: Instant,
    ) {
        let mut strays = HashMap::new();
        for child in self.others(is_program) {
            let tag = Tag::of(child.pid);
            // A process that is being started has no tag of its own yet.
            if tag == self.own_tag
                || tag.is_none_or(|tag| is_open(tag) || self.ended.contains_key(&tag))
            {
                continue;
            }
            let until = self.strays.get(&child.pid).copied();
            match until {
                // No other process has the ID of a child that has not been waited for.
                Some(until) if until <= now => drop(kill(child.pid, Signal::SIGKILL)),
                Some(_) => {}
                None => terminate(child.pid),
            }
            strays.insert(child.pid, until.unwrap_or(now + self.grace));
        }
        self.strays = strays;
    }

    /// Stops all programs and what they left: sends SIGTERM, and SIGKILL after `grace`. Returns when
    /// all have ended, or `kill_timeout` after SIGKILL. `is_open` is that of [`Orphans::maintain`].
    pub fn stop_all(&self, is_open: impl Fn(Tag) -> bool, grace: Duration, kill_timeout: Duration) {
        let start = Instant::now();
        let mut terminated = HashSet::new();
        loop {
            while wait_for_any().is_some() {}
            let children = self.others(|_| false).into_iter().map(|child| child.pid);
            let tagged = tagged(|tag| is_open(tag) || self.ended.contains_key(&tag));
            let tagged = tagged.into_iter().map(|(pid, _)| pid);
            let left: HashSet<Pid> = children.chain(tagged).collect();
            let elapsed = start.elapsed();
            if left.is_empty() || elapsed >= grace + kill_timeout {
                return;
            }
            for pid in left {
                if elapsed >= grace {
                    let _ = kill(pid, Signal::SIGKILL);
                } else if terminated.insert(pid) {
                    terminate(pid);
                }
            }
            if elapsed < grace {
                std::thread::sleep(STOP_CHECK_INTERVAL);
            }
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

fn terminate(pid: Pid) {
    let _ = kill(pid, Signal::SIGTERM);
    // A stopped process handles SIGTERM only once it continues.
    let _ = kill(pid, Signal::SIGCONT);
}

/// Kills all processes with these tags. A process that forks and exits may be gone when it is found,
/// so that this is repeated until none is found.
fn kill_all(tags: impl Fn(Tag) -> bool) {
    let start = Instant::now();
    while start.elapsed() < KILL_TIME {
        let found = tagged(&tags);
        if found.is_empty() {
            return;
        }
        for (pid, _) in found {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}
