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
pub(super) struct Orphans {
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
    /// Processes of no connection that received SIGTERM.
    strays: HashSet<Pid>,
    /// When all strays receive SIGKILL, also those that are found later: they may be descendants of the first.
    kill_strays_at: Option<Instant>,
    /// An orphaned process ended, whose children may be strays now.
    search: bool,
    next_search: Instant,
    last_search: Instant,
}

impl Orphans {
    /// `grace` is the time between SIGTERM and SIGKILL.
    pub(super) fn new(grace: Duration, now: Instant) -> Orphans {
        Orphans {
            grace,
            own_tag: Tag::of(Pid::from_raw(0)),
            inherited: children::others(|_| false),
            ended: HashMap::new(),
            terminated: HashSet::new(),
            strays: HashSet::new(),
            kill_strays_at: None,
            search: false,
            next_search: now,
            last_search: now,
        }
    }

    /// A connection has ended. Its processes receive SIGKILL at this time.
    pub(super) fn on_end(&mut self, tag: Tag, kill_at: Instant) {
        self.ended.insert(tag, kill_at);
        let soon = kill_at.max(self.last_search + MIN_INTERVAL);
        self.next_search = self.next_search.min(soon);
    }

    /// An orphaned process has ended.
    pub(super) fn on_exit(&mut self) {
        self.search = true;
    }

    /// When [`Orphans::maintain`] has something to do.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let any = self.search || !self.ended.is_empty() || self.kill_strays_at.is_some();
        any.then_some(self.next_search)
    }

    /// Finds processes and stops them, if a search is due. `is_program` returns whether a process is a
    /// running program, `is_open` whether a tag is that of an open connection.
    pub(super) fn maintain(
        &mut self,
        is_program: impl Fn(Pid) -> bool,
        is_open: impl Fn(Tag) -> bool,
        now: Instant,
    ) {
        if self.due_at().is_none_or(|due| now < due) {
            return;
        }
        let search_start = Instant::now();
        let has_one_ended = std::mem::take(&mut self.search);
        let mut found = tagged(|tag| self.ended.contains_key(&tag));
        if found.iter().any(|(_, tag)| self.ended[tag] <= now) {
            let is_due = |tag| self.ended.get(&tag).is_some_and(|at| *at <= now);
            kill_repeatedly(|| tagged(is_due).into_iter().map(|(pid, _)| pid).collect());
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
        self.stop_strays(is_program, is_open, has_one_ended, now);
        let next = self.ended.values().chain(&self.kill_strays_at).min();
        let next = next.map_or(INTERVAL, |at| at.saturating_duration_since(now));
        self.last_search = Instant::now();
        let least = MIN_INTERVAL.max(search_start.elapsed() * SEARCH_FACTOR);
        self.next_search = now + next.clamp(least, INTERVAL.max(least));
    }

    /// Stops children of this process that belong to no connection. `has_one_ended` tells whether an
    /// orphaned process has ended since the last search.
    fn stop_strays(
        &mut self,
        is_program: impl Fn(Pid) -> bool,
        is_open: impl Fn(Tag) -> bool,
        has_one_ended: bool,
        now: Instant,
    ) {
        let is_stray = |pid: Pid| {
            let tag = Tag::of(pid);
            // A process that is being started has no tag of its own yet.
            let is_known = |tag| is_open(tag) || self.ended.contains_key(&tag);
            tag != self.own_tag && tag.is_some_and(|tag| !is_known(tag))
        };
        let (inherited, others): (Vec<Child>, Vec<Child>) = children::others(&is_program)
            .into_iter()
            .partition(|child| self.is_inherited(child));
        let others = others.into_iter().map(|child| child.pid);
        let strays: HashSet<Pid> = others.filter(|pid| is_stray(*pid)).collect();
        for pid in strays.difference(&self.strays) {
            terminate(*pid);
        }
        if self.kill_strays_at.is_some_and(|at| at <= now) {
            let is_inherited = |pid: Pid| inherited.iter().any(|child| child.pid == pid);
            kill_repeatedly(|| {
                // Those that have ended are included: it takes longer to find out than to kill them, and a
                // process that forks and exits is gone meanwhile.
                let mut pids = children::pids();
                pids.retain(|pid| !is_program(*pid) && !is_inherited(*pid) && is_stray(*pid));
                pids
            });
        }
        // A process that forks and exits is easily missed; that one has ended is not.
        if !strays.is_empty() {
            self.kill_strays_at.get_or_insert(now + self.grace);
        } else if !has_one_ended {
            self.kill_strays_at = None;
        }
        self.strays = strays;
    }

    /// Stops all programs and what they left: sends SIGTERM, and SIGKILL after `grace`. Returns when
    /// all have ended, or `kill_timeout` after SIGKILL. `is_open` is that of [`Orphans::maintain`].
    pub(super) fn stop_all(
        &self,
        is_open: impl Fn(Tag) -> bool,
        grace: Duration,
        kill_timeout: Duration,
    ) {
        let start = Instant::now();
        let mut terminated = HashSet::new();
        loop {
            while wait_for_any().is_some() {}
            let children = children::others(|_| false).into_iter();
            let children = children.filter(|child| !self.is_inherited(child));
            let children = children.map(|child| child.pid);
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

    fn is_inherited(&self, child: &Child) -> bool {
        let same = |other: &Child| (other.pid, other.started) == (child.pid, child.started);
        self.inherited.iter().any(same)
    }
}

fn terminate(pid: Pid) {
    let _ = kill(pid, Signal::SIGTERM);
    // A stopped process handles SIGTERM only once it continues.
    let _ = kill(pid, Signal::SIGCONT);
}

/// Kills processes. One that forks and exits may be gone when it is found, so that this is repeated
/// until no new one is found.
fn kill_repeatedly(find: impl Fn() -> Vec<Pid>) {
    let start = Instant::now();
    let mut killed = HashSet::new();
    while start.elapsed() < KILL_TIME {
        let before = killed.len();
        for pid in find() {
            if killed.insert(pid) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
        if killed.len() == before {
            return;
        }
    }
}
