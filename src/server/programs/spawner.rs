//! Threads that start programs.
//!
//! Starting a program returns when the new process has called execve(2). On a busy machine the process
//! waits for a processor before that. With one thread, a third as many programs start per second as
//! with four; in the event loop, all connections would have to wait.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::CString;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use mio::Waker;
use nix::unistd::Pid;

use super::program_spec::ProgramSpec;
use super::tag::Tag;

/// The number of threads.
const THREADS: usize = 4;

/// The stack size of a thread, in bytes.
const STACK: usize = 128 * 1024;

/// A connection for which a program has to be started.
struct Job {
    number: u64,
    key: usize,
    connection: RawFd,
    client: Vec<CString>,
    tag: Tag,
}

/// The result of a job.
struct Started {
    number: u64,
    key: usize,
    pid: nix::Result<Pid>,
}

struct Shared {
    program: ProgramSpec,
    queue: Mutex<Queue>,
    /// Something was added to the queue, or it was closed.
    changed: Condvar,
    done: Mutex<Vec<Started>>,
    /// Wake the event loop after the next job.
    wake: AtomicBool,
    waker: Waker,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// A pool of threads that start programs.
pub(super) struct Spawner {
    shared: Arc<Shared>,
    /// Empty until the first job: a process that serves one connection has none.
    threads: Vec<JoinHandle<()>>,
    /// The numbers of the jobs whose result is not known yet.
    pending: BTreeSet<u64>,
    last: u64,
}

impl Spawner {
    /// `waker` wakes the event loop.
    pub(super) fn new(program: ProgramSpec, waker: Waker) -> Spawner {
        Spawner {
            shared: Arc::new(Shared {
                program,
                queue: Mutex::default(),
                changed: Condvar::new(),
                done: Mutex::default(),
                wake: AtomicBool::new(false),
                waker,
            }),
            threads: Vec::new(),
            pending: BTreeSet::new(),
            last: 0,
        }
    }

    /// Returns whether no program is being started.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Starts the program in the calling thread.
    ///
    /// # Errors
    ///
    /// Those of clone(2), execve(2), landlock_restrict_self(2) and seccomp(2).
    pub(super) fn start_now(
        &self,
        connection: RawFd,
        client: &[CString],
        tag: Tag,
    ) -> nix::Result<Pid> {
        self.shared.program.start(connection, client, tag)
    }

    /// Queues the start of a program for a connection, which must stay open until
    /// [`Spawner::take_started`] returns the result.
    pub(super) fn start(&mut self, key: usize, connection: RawFd, client: Vec<CString>, tag: Tag) {
        self.last += 1;
        self.pending.insert(self.last);
        let job = Job {
            number: self.last,
            key,
            connection,
            client,
            tag,
        };
        if self.threads.is_empty() {
            self.start_threads();
        }
        if self.threads.is_empty() {
            return self.shared.do_job(&job);
        }
        lock(&self.shared.queue).jobs.push_back(job);
        self.shared.changed.notify_one();
    }

    /// Fewer threads are slower, but enough. Even none is, until there is memory for one.
    fn start_threads(&mut self) {
        let thread = |_| {
            let shared = Arc::clone(&self.shared);
            let builder = thread::Builder::new().name("spawner".into());
            let thread = builder.stack_size(STACK).spawn(move || shared.run());
            thread.ok()
        };
        self.threads = (0..THREADS).map_while(thread).collect();
    }

    /// Returns the new results, each with the key of its connection.
    pub(super) fn take_started(&mut self) -> Vec<(usize, nix::Result<Pid>)> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        let started = std::mem::take(&mut *lock(&self.shared.done));
        started
            .into_iter()
            .map(|started| {
                self.pending.remove(&started.number);
                (started.key, started.pid)
            })
            .collect()
    }

    /// The number of the last job.
    pub(super) fn last_job(&self) -> u64 {
        self.last
    }

    /// Returns whether the results of all jobs up to this number are known.
    pub(super) fn is_past(&self, number: u64) -> bool {
        self.pending.first().is_none_or(|first| *first > number)
    }

    /// Wakes the event loop after the next job. A job may end before this call, so that the caller
    /// has to check for results after it.
    pub(super) fn wake_on_next(&self) {
        self.shared.wake.store(true, Ordering::SeqCst);
    }

    /// Stops the threads once they have done their current jobs.
    pub(super) fn stop(&mut self) {
        lock(&self.shared.queue).closed = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        while let Some(job) = self.next() {
            self.do_job(&job);
        }
    }

    fn do_job(&self, job: &Job) {
        let pid = self.program.start(job.connection, &job.client, job.tag);
        // SIGCHLD wakes the loop when a program ends, but nothing wakes it after a failure.
        let failed = pid.is_err();
        lock(&self.done).push(Started {
            number: job.number,
            key: job.key,
            pid,
        });
        if self.wake.swap(false, Ordering::SeqCst) || failed {
            // Fails only if the loop is woken already.
            let _ = self.waker.wake();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Ignores that a thread panicked: each change of the data is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
