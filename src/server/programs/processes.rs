//! The programs that run, from their start to their end.

use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::orphans::Orphans;
use super::spawner::Spawner;
use super::wait::{self, Ended, Status, is_nameless, wait_for, wait_for_any};

/// Children to remember of whom nothing was known: more than can end in the time of a start.
const EARLY: usize = 1000;

/// Knows the children of this process.
pub struct Processes {
    spawner: Spawner,
    /// The programs that run, with the key of their connection.
    running: HashMap<Pid, usize>,
    orphans: Orphans,
    /// A child may have ended.
    child_ended: bool,
    /// A child that has ended may be a program whose start is not known yet, but no longer once all
    /// up to this are.
    stranger: Option<(Ended, u64)>,
    /// Children that were waited for and may be such programs, the last first.
    early: VecDeque<(Pid, Status)>,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Program {
    pid: Pid,
    /// How, where it was waited for already.
    status: Option<Status>,
}

/// What is heard of a connection's program.
#[derive(Debug)]
pub enum News {
    /// It runs, or cannot be started.
    Started(nix::Result<Pid>),
    /// It has ended, and is to be waited for with [`Processes::wait_for`].
    Ended(Program),
    /// It may be possible now to start it.
    Retry,
}

impl Processes {
    /// Those that this starts, and what they leave, which has so long to end when it is told to.
    pub fn new(spawner: Spawner, grace: Duration) -> Processes {
        Processes {
            spawner,
            running: HashMap::new(),
            orphans: Orphans::new(grace, Instant::now()),
            child_ended: false,
            stranger: None,
            early: VecDeque::new(),
        }
    }

    /// How many programs are known to run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Has a program started for the connection of this key. What came of it is told at once where it
    /// is known at once, and with the news where it is not.
    pub fn start(
        &mut self,
        key: usize,
        connection: RawFd,
        about: Vec<CString>,
    ) -> Option<nix::Result<Pid>> {
        if !(self.running.is_empty() && self.spawner.is_idle()) {
            self.spawner.start(key, connection, about);
            return None;
        }
        // Nobody is kept waiting by it, and it is quicker than to wake another thread.
        let started = self.spawner.start_now(connection, &about);
        if let Ok(pid) = started {
            self.running.insert(pid, key);
        }
        Some(started)
    }

    /// Has the loop woken when the next program has started.
    pub fn wake_me(&self) {
        self.spawner.wake_me();
    }

    /// A child may have ended.
    pub fn child_ended(&mut self) {
        self.child_ended = true;
    }

    /// What was heard of programs, with the keys of their connections: no more than one that has ended
    /// and is to be waited for, before the next is asked for.
    pub fn news(&mut self) -> Vec<(usize, News)> {
        let mut news = Vec::new();
        self.take_started(&mut news);
        self.reap(&mut news);
        news
    }

    /// Looks after what programs have left behind, once it is due. `oldest` is when the first of the
    /// connections began whose programs have not ended.
    pub fn tidy(&mut self, oldest: Option<i64>, now: Instant) {
        let running = &self.running;
        self.orphans
            .look(|pid| running.contains_key(&pid), oldest, now);
    }

    /// When that is due.
    pub fn due(&self) -> Option<Instant> {
        self.orphans.due()
    }

    /// Ends all there are.
    pub fn end_all(&mut self, grace: Duration, last: Duration) {
        self.spawner.stop();
        for pid in self.running.keys() {
            let _ = killpg(*pid, Signal::SIGKILL);
        }
        self.orphans.end_all(grace, last);
    }

    /// Hears of what was started.
    fn take_started(&mut self, news: &mut Vec<(usize, News)>) {
        for (key, started) in self.spawner.done() {
            news.push((key, News::Started(started)));
            let Ok(pid) = started else {
                continue;
            };
            match self.early.iter().position(|(early, _)| *early == pid) {
                None => {
                    self.running.insert(pid, key);
                }
                Some(index) => {
                    let status = self.early.remove(index).map(|(_, status)| status);
                    news.push((key, News::Ended(Program { pid, status })));
                }
            }
        }
        if self.spawner.is_idle() {
            self.early.clear();
        }
    }

    /// Waits for the children that have ended.
    fn reap(&mut self, news: &mut Vec<(usize, News)>) {
        while self.child_ended {
            let Some(ended) = wait::ended() else {
                self.child_ended = false;
                return;
            };
            let known = match ended {
                Ended::Pid(pid) => self.running.remove_entry(&pid),
                Ended::Nameless => {
                    let pid = self.running.keys().copied().find(|pid| is_nameless(*pid));
                    pid.and_then(|pid| self.running.remove_entry(&pid))
                }
            };
            if let Some((pid, key)) = known {
                self.stranger = None;
                news.push((key, News::Ended(Program { pid, status: None })));
                return;
            } else if self.may_be_starting(ended) {
                self.spawner.wake_me();
                let before = news.len();
                self.take_started(news);
                if news.len() == before && self.may_be_starting(ended) {
                    return;
                }
            } else if let Ended::Pid(pid) = ended {
                // Once it is waited for, its number may be another's.
                self.stranger = None;
                wait_for(pid);
                self.orphans.ended(pid);
            } else if let Some((pid, status)) = wait_for_any() {
                // Not the same for sure: another may have ended since it was looked.
                self.stranger = None;
                self.waited_for(pid, status, news);
            }
        }
    }

    /// Waits for a program that has ended, after its group was told to.
    pub fn wait_for(&mut self, program: Program) -> Status {
        // As long as the program is not waited for, its number is that of its group only.
        let _ = killpg(program.pid, Signal::SIGTERM);
        self.orphans.may_be_of(program.pid);
        program.status.unwrap_or_else(|| wait_for(program.pid))
    }

    /// A child has ended and was waited for, whosever it is.
    fn waited_for(&mut self, pid: Pid, status: Status, news: &mut Vec<(usize, News)>) {
        if let Some(key) = self.running.remove(&pid) {
            let status = Some(status);
            news.push((key, News::Ended(Program { pid, status })));
        } else {
            self.orphans.ended(pid);
            self.early.truncate(EARLY - 1);
            self.early.push_front((pid, status));
        }
    }

    /// Whether a child that nobody knows may be a program of which it was not heard yet that it was
    /// started.
    fn may_be_starting(&mut self, child: Ended) -> bool {
        let last = match self.stranger {
            Some((known, last)) if known == child => last,
            _ => self.spawner.last(),
        };
        self.stranger = Some((child, last));
        !self.spawner.past(last)
    }
}
