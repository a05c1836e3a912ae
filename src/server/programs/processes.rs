//! The running programs.

use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::orphans::Orphans;
use super::spawner::Spawner;
use super::tag::Tag;
use super::wait::{
    ExitStatus, Zombie, find_zombie, wait_for, wait_for_any, was_killed_by_realtime_signal,
};

/// How many unknown children are remembered: more than can end while one program is started.
const MAX_EARLY: usize = 1000;

/// Starts programs, and waits for the children of this process.
pub(super) struct Processes {
    spawner: Spawner,
    /// Running programs, with the keys of their connections.
    running: HashMap<Pid, usize>,
    orphans: Orphans,
    /// SIGCHLD arrived, and there may be zombies.
    child_ended: bool,
    /// A zombie that may be a program whose start has not been reported yet, and the last job that
    /// may have started it.
    unknown: Option<(Zombie, u64)>,
    /// Children that have been waited for and may be such programs, the latest first.
    early: VecDeque<(Pid, ExitStatus)>,
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct EndedProgram {
    pid: Pid,
    /// Its exit status, if it has been waited for already.
    status: Option<ExitStatus>,
}

/// An event of a program.
#[derive(Debug)]
pub(crate) enum ProgramEvent {
    /// It was started, or its start failed.
    Started(nix::Result<Pid>),
    /// It ended; [`Processes::wait_for`] has to be called.
    Ended(EndedProgram),
    /// Its start failed for lack of resources, and may succeed now.
    Retry,
}

impl Processes {
    /// `grace` is the time between SIGTERM and SIGKILL for orphaned processes.
    pub(super) fn new(spawner: Spawner, grace: Duration) -> Processes {
        Processes {
            spawner,
            running: HashMap::new(),
            orphans: Orphans::new(grace, Instant::now()),
            child_ended: false,
            unknown: None,
            early: VecDeque::new(),
        }
    }

    /// The number of running programs.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// Starts a program for the connection with this key. Returns the result if the program was
    /// started in this thread; otherwise [`Processes::events`] returns it later.
    pub(super) fn start(
        &mut self,
        key: usize,
        connection: RawFd,
        client: Vec<CString>,
        tag: Tag,
    ) -> Option<nix::Result<Pid>> {
        if !(self.running.is_empty() && self.spawner.is_idle()) {
            self.spawner.start(key, connection, client, tag);
            return None;
        }
        // No other connection has to wait for it, and it is faster than to wake another thread.
        let started = self.spawner.start_now(connection, &client, tag);
        if let Ok(pid) = started {
            self.running.insert(pid, key);
        }
        Some(started)
    }

    /// Wakes the event loop when the next program has been started.
    pub(super) fn wake_on_next_start(&self) {
        self.spawner.wake_on_next();
    }

    /// SIGCHLD arrived.
    pub(super) fn on_child_signal(&mut self) {
        self.child_ended = true;
    }

    /// Returns events with the keys of their connections. At most one of them is a zombie: it has to
    /// be waited for before the next call.
    pub(super) fn events(&mut self) -> Vec<(usize, ProgramEvent)> {
        let mut events = Vec::new();
        self.take_started(&mut events);
        self.reap(&mut events);
        events
    }

    /// Stops the processes that programs left, if that is due. `is_open` returns whether a tag is that
    /// of a connection whose program has not ended.
    pub(super) fn maintain(&mut self, is_open: impl Fn(Tag) -> bool, now: Instant) {
        let running = &self.running;
        self.orphans
            .maintain(|pid| running.contains_key(&pid), is_open, now);
    }

    /// When [`Processes::maintain`] has something to do.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.orphans.due_at()
    }

    /// Kills all programs, and stops all orphaned processes. Returns when all have ended, or
    /// `grace` and `kill_timeout` have passed.
    pub(super) fn stop_all(
        &mut self,
        is_open: impl Fn(Tag) -> bool,
        grace: Duration,
        kill_timeout: Duration,
    ) {
        self.spawner.stop();
        for pid in self.running.keys() {
            let _ = killpg(*pid, Signal::SIGKILL);
        }
        self.orphans.stop_all(is_open, grace, kill_timeout);
    }

    /// Takes the results of the spawner.
    fn take_started(&mut self, events: &mut Vec<(usize, ProgramEvent)>) {
        for (key, started) in self.spawner.take_started() {
            events.push((key, ProgramEvent::Started(started)));
            let Ok(pid) = started else {
                continue;
            };
            match self.early.iter().position(|(early, _)| *early == pid) {
                None => {
                    self.running.insert(pid, key);
                }
                Some(index) => {
                    let status = self.early.remove(index).map(|(_, status)| status);
                    events.push((key, ProgramEvent::Ended(EndedProgram { pid, status })));
                }
            }
        }
        if self.spawner.is_idle() {
            self.early.clear();
        }
    }

    /// Finds zombies. Waits for those that are not programs.
    fn reap(&mut self, events: &mut Vec<(usize, ProgramEvent)>) {
        while self.child_ended {
            let Some(zombie) = find_zombie() else {
                self.child_ended = false;
                return;
            };
            let known = match zombie {
                Zombie::Pid(pid) => self.running.remove_entry(&pid),
                Zombie::Unknown => {
                    let mut running = self.running.keys().copied();
                    let pid = running.find(|pid| was_killed_by_realtime_signal(*pid));
                    pid.and_then(|pid| self.running.remove_entry(&pid))
                }
            };
            if let Some((pid, key)) = known {
                self.unknown = None;
                events.push((key, ProgramEvent::Ended(EndedProgram { pid, status: None })));
                return;
            } else if self.may_be_starting(zombie) {
                self.spawner.wake_on_next();
                let before = events.len();
                self.take_started(events);
                if events.len() == before && self.may_be_starting(zombie) {
                    return;
                }
            } else if let Zombie::Pid(pid) = zombie {
                // Once it has been waited for, another process may get its ID.
                self.unknown = None;
                wait_for(pid);
                self.orphans.on_exit();
            } else if let Some((pid, status)) = wait_for_any() {
                // This may be another child, which has ended since.
                self.unknown = None;
                self.on_waited(pid, status, events);
            }
        }
    }

    /// Sends SIGTERM to the process group of a program that has ended, and waits for the program, unless it has been
    /// waited for already. The processes with this tag receive SIGKILL at this time.
    pub(super) fn wait_for(
        &mut self,
        program: EndedProgram,
        tag: Tag,
        kill_at: Instant,
    ) -> ExitStatus {
        self.orphans.on_end(tag, kill_at);
        program.status.unwrap_or_else(|| {
            // Once the program has been waited for, another process group may have its ID.
            let _ = killpg(program.pid, Signal::SIGTERM);
            wait_for(program.pid)
        })
    }

    /// A child was waited for, which may be a program or not.
    fn on_waited(&mut self, pid: Pid, status: ExitStatus, events: &mut Vec<(usize, ProgramEvent)>) {
        if let Some(key) = self.running.remove(&pid) {
            let status = Some(status);
            events.push((key, ProgramEvent::Ended(EndedProgram { pid, status })));
        } else {
            self.orphans.on_exit();
            self.early.truncate(MAX_EARLY - 1);
            self.early.push_front((pid, status));
        }
    }

    /// Returns whether an unknown zombie may be a program whose start has not been reported yet.
    fn may_be_starting(&mut self, zombie: Zombie) -> bool {
        let last = match self.unknown {
            Some((known, last)) if known == zombie => last,
            _ => self.spawner.last_job(),
        };
        self.unknown = Some((zombie, last));
        !self.spawner.is_past(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::programs::program_spec::ProgramSpec;
    use mio::{Poll, Token, Waker};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    fn processes() -> Processes {
        let program = ProgramSpec::find(&["true".into()]).unwrap();
        let waker = Waker::new(Poll::new().unwrap().registry(), Token(0)).unwrap();
        Processes::new(Spawner::new(program, waker), Duration::from_secs(1))
    }

    #[test]
    fn the_id_of_a_program_that_has_been_waited_for_may_be_another_group() {
        let mut other = Command::new("cat")
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let program = EndedProgram {
            pid: Pid::from_raw(other.id() as i32),
            status: Some(ExitStatus::default()),
        };
        processes().wait_for(program, Tag::random(), Instant::now());
        // A signal would come before the end of its input.
        drop(other.stdin.take());
        assert!(other.wait().unwrap().success());
    }
}
