//! Threads that start programs.
//!
//! posix_spawn(3) returns when the new process runs its program, and where others compete for the
//! processors that takes a multiple of the work. One thread alone would start no more than a third of
//! what four do, and the loop would stand still meanwhile.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::CString;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use mio::Waker;
use nix::unistd::Pid;

use super::program::Program;

/// How many start programs at once.
const THREADS: usize = 4;

/// What these threads need of stack.
const STACK: usize = 128 * 1024;

/// A connection that a program is to be started for.
struct Job {
    number: u64,
    key: usize,
    connection: RawFd,
    about: Vec<CString>,
}

/// What came of it.
struct Done {
    number: u64,
    key: usize,
    pid: nix::Result<Pid>,
}

struct Shared {
    program: Program,
    todo: Mutex<Todo>,
    /// Something was added to it.
    more: Condvar,
    done: Mutex<Vec<Done>>,
    /// The loop cannot go on before the next is done.
    wanted: AtomicBool,
    waker: Waker,
}

#[derive(Default)]
struct Todo {
    jobs: VecDeque<Job>,
    over: bool,
}

/// Starts programs.
pub struct Spawner {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// The numbers of the jobs of which nothing was heard yet.
    under_way: BTreeSet<u64>,
    last: u64,
}

impl Spawner {
    /// Begins with nothing to do; `waker` wakes the loop.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub fn new(program: Program, waker: Waker) -> io::Result<Spawner> {
        let shared = Arc::new(Shared {
            program,
            todo: Mutex::default(),
            more: Condvar::new(),
            done: Mutex::default(),
            wanted: AtomicBool::new(false),
            waker,
        });
        let thread = || {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("spawner".into())
                .stack_size(STACK)
                .spawn(move || shared.work())
        };
        let mut threads = vec![thread()?];
        // Fewer would do.
        threads.extend((1..THREADS).map_while(|_| thread().ok()));
        Ok(Spawner {
            shared,
            threads,
            under_way: BTreeSet::new(),
            last: 0,
        })
    }

    /// Whether nothing is being started.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Starts the program at once; for when there is nothing else to do.
    pub fn start_now(&self, connection: RawFd, about: &[CString]) -> nix::Result<Pid> {
        self.shared.program.start(connection, about)
    }

    /// Has the program started for a connection, which must stay open until [`Spawner::done`] tells
    /// what came of it.
    pub fn start(&mut self, key: usize, connection: RawFd, about: Vec<CString>) {
        self.last += 1;
        self.under_way.insert(self.last);
        let job = Job {
            number: self.last,
            key,
            connection,
            about,
        };
        lock(&self.shared.todo).jobs.push_back(job);
        self.shared.more.notify_one();
    }

    /// What was started since, or failed to, with the key it was given.
    pub fn done(&mut self) -> Vec<(usize, nix::Result<Pid>)> {
        if self.under_way.is_empty() {
            return Vec::new();
        }
        let done = std::mem::take(&mut *lock(&self.shared.done));
        done.into_iter()
            .map(|done| {
                self.under_way.remove(&done.number);
                (done.key, done.pid)
            })
            .collect()
    }

    /// The number of the last job, for [`Spawner::past`].
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Whether it is known what came of all jobs up to this one.
    pub fn past(&self, number: u64) -> bool {
        self.under_way.first().is_none_or(|first| *first > number)
    }

    /// Has the loop woken when the next is done. What is done already is to be asked for after this.
    pub fn wake_me(&self) {
        self.shared.wanted.store(true, Ordering::SeqCst);
    }
}

impl Spawner {
    /// Starts no more.
    pub fn stop(&mut self) {
        lock(&self.shared.todo).over = true;
        self.shared.more.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next() {
            let pid = self.program.start(job.connection, &job.about);
            // A program that ends is noticed by the loop in any case, a failure is not.
            let failed = pid.is_err();
            lock(&self.done).push(Done {
                number: job.number,
                key: job.key,
                pid,
            });
            if self.wanted.swap(false, Ordering::SeqCst) || failed {
                // Fails where the loop has enough to wake it.
                let _ = self.waker.wake();
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut todo = lock(&self.todo);
        loop {
            if todo.over {
                return None;
            }
            if let Some(job) = todo.jobs.pop_front() {
                return Some(job);
            }
            todo = self.more.wait(todo).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What a thread that panicked leaves behind is whole: each change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
