//! A program for each connection, as inetd has it: the connection is its standard input and output.

mod children;
mod conversation;
mod ending;
mod options;
mod orphans;
mod program;
mod spawner;

use std::collections::{BTreeSet, HashMap};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::{Interest, Registry, Waker};
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, killpg};
use nix::sys::socket::{UnixAddr, getpeername};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

pub use self::conversation::Times;
pub use self::options::Options;
pub use self::program::{Program, file_name};

use self::conversation::{Conversation, Phase};
use self::ending::Why;
use self::orphans::Orphans;
use self::program::assignment;
use self::spawner::Spawner;
use super::accept::PAUSE;
use super::farewell::farewell;
use super::host::{Around, Guest, Host, Next};
use super::records::Name;
use super::server::WAKER;
use crate::connection::{Peer, send_now};

/// How long programs may take to vanish that were killed.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// Starts programs, and sees to their ends.
pub struct Programs {
    spawner: Spawner,
    times: Times,
    /// Sent before a program starts.
    banner: Vec<u8>,
    /// Sent where it cannot be started.
    out_of_order: Vec<u8>,
    /// The programs that run, with the key of their connection.
    running: HashMap<Pid, usize>,
    /// The connections whose programs have not ended, by when they began.
    oldest: BTreeSet<(i64, usize)>,
    /// The connections whose programs could not be started for lack of something.
    short: Vec<usize>,
    orphans: Orphans,
    /// A child may have ended.
    child_ended: bool,
    /// A child that has ended may be a program whose start is not known yet, but no longer once all
    /// up to this are.
    nameless: Option<(Pid, u64)>,
}

/// What is heard of a connection's program.
#[derive(Debug)]
pub enum News {
    /// It runs, or cannot be started.
    Started(nix::Result<Pid>),
    /// It has ended.
    Ended(WaitStatus),
    /// It may be possible now to start it.
    Retry,
}

impl Programs {
    /// Starts this program for each connection.
    ///
    /// # Errors
    ///
    /// What that takes cannot be had.
    pub fn new(
        program: Program,
        times: Times,
        banner: Vec<u8>,
        out_of_order: Vec<u8>,
        registry: &Registry,
    ) -> anyhow::Result<Programs> {
        set_child_subreaper(true).context("cannot adopt what programs leave behind")?;
        let waker = Waker::new(registry, WAKER).context("cannot set up the event loop")?;
        Ok(Programs {
            spawner: Spawner::new(program, waker).context("cannot start threads")?,
            times,
            banner,
            out_of_order,
            running: HashMap::new(),
            oldest: BTreeSet::new(),
            short: Vec::new(),
            orphans: Orphans::new(times.grace, Instant::now()),
            child_ended: false,
            nameless: None,
        })
    }
}

impl Host for Programs {
    type Guest = Conversation;
    type News = News;

    const SIGNALS: &'static [Signal] = &[Signal::SIGCHLD];

    fn interest(&self, guest: &Conversation) -> Interest {
        if self.times.idle.is_some() && guest.is_local() {
            // Each message wakes this process, which is the only way to know of it.
            Interest::READABLE.add(Interest::WRITABLE)
        } else {
            // Beside this, which hardly ever happens, it is told of errors and hang-ups.
            Interest::PRIORITY
        }
    }

    fn last_words(&self) -> Duration {
        self.times.grace + LAST_BREATH
    }

    fn welcome(
        &mut self,
        socket: OwnedFd,
        name: Name,
        around: &mut Around<'_, '_>,
    ) -> (Conversation, Next) {
        if !self.banner.is_empty() {
            // A new connection has room for it.
            let _ = send_now(&socket, &self.banner);
        }
        let mut guest = Conversation::new(socket, name, around.now);
        self.oldest.insert((guest.born(), around.key));
        let next = self.start(&mut guest, around);
        (guest, next)
    }

    fn drive(&mut self, guest: &mut Conversation, around: &mut Around<'_, '_>) -> Next {
        if let (Phase::Short(_), true) = (guest.phase(), guest.is_gone()) {
            return self.never_started(guest, Why::ClientGone, around);
        }
        if guest.phase() == Phase::Starting {
            // What happened is seen once it runs, and nothing else tells of that.
            self.spawner.wake_me();
        }
        if guest.is_local() {
            guest.moved(around.now);
        }
        guest.look(&self.times, around.now)
    }

    fn expire(&mut self, guest: &mut Conversation, around: &mut Around<'_, '_>) -> Next {
        match guest.phase() {
            Phase::Short(at) if at <= around.now => self.start(guest, around),
            _ => guest.look(&self.times, around.now),
        }
    }

    fn dismiss(&mut self, guest: &mut Conversation, around: &mut Around<'_, '_>) -> Next {
        match guest.phase() {
            Phase::Short(_) => self.never_started(guest, Why::Stopped, around),
            _ => guest.end(Why::Stopped, &self.times, around.now),
        }
    }

    fn signalled(&mut self) {
        self.child_ended = true;
    }

    fn news(&mut self) -> Vec<(usize, News)> {
        let mut news = Vec::new();
        self.take_started(&mut news);
        self.reap(&mut news);
        news
    }

    fn hear(&mut self, guest: &mut Conversation, news: News, around: &mut Around<'_, '_>) -> Next {
        match news {
            News::Started(Ok(pid)) => guest.started(pid, &self.times, around.now),
            News::Started(Err(errno)) => self.not_started(guest, errno, around),
            News::Ended(status) => {
                self.oldest.remove(&(guest.born(), around.key));
                // The client is not to wait for the record.
                let traffic = guest.traffic();
                let next = guest.close(around);
                guest.record(&ending::words(guest.why(), status), traffic, around);
                next
            }
            News::Retry if matches!(guest.phase(), Phase::Short(_)) => self.start(guest, around),
            News::Retry => guest.look(&self.times, around.now),
        }
    }

    fn tidy(&mut self, now: Instant) {
        let oldest = self.oldest.first().map(|(born, _)| *born);
        let running = &self.running;
        self.orphans
            .look(|pid| running.contains_key(&pid), oldest, now);
    }

    fn due(&self) -> Option<Instant> {
        self.orphans.due()
    }

    fn finish(&mut self) {
        self.spawner.stop();
        for pid in self.running.keys() {
            let _ = killpg(*pid, Signal::SIGKILL);
        }
        orphans::end_all(self.times.grace, LAST_BREATH);
    }
}

impl Programs {
    /// Has the program started for a connection.
    fn start(&mut self, guest: &mut Conversation, around: &mut Around<'_, '_>) -> Next {
        self.short.retain(|key| *key != around.key);
        let connection = guest.socket().as_raw_fd();
        let about = about(guest.name().peer, connection);
        if self.running.is_empty() && self.spawner.is_idle() {
            // Nobody is kept waiting by it, and it is quicker than to wake another thread.
            return match self.spawner.start_now(connection, &about) {
                Ok(pid) => {
                    self.running.insert(pid, around.key);
                    guest.started(pid, &self.times, around.now)
                }
                Err(errno) => self.not_started(guest, errno, around),
            };
        }
        guest.starting(None);
        self.spawner.start(around.key, connection, about);
        guest.look(&self.times, around.now)
    }

    fn not_started(
        &mut self,
        guest: &mut Conversation,
        errno: Errno,
        around: &mut Around<'_, '_>,
    ) -> Next {
        let passing = matches!(
            errno,
            Errno::EAGAIN | Errno::ENOMEM | Errno::ENFILE | Errno::EMFILE
        );
        if !passing {
            self.oldest.remove(&(guest.born(), around.key));
            let end = format!("not started ({})", errno.desc());
            guest.record(&end, guest.traffic(), around);
            farewell(guest.socket(), &self.out_of_order);
            return Next::Close;
        }
        if let Some(why) = guest.why() {
            return self.never_started(guest, why, around);
        }
        let running = self.running.len();
        let told = format!(
            "no more programs than these {running} for now: {}",
            errno.desc()
        );
        around.records.complain(&told, around.now);
        self.short.push(around.key);
        let later = around.now + PAUSE;
        *around.pause = Some(later);
        guest.starting(Some(later));
        Next::Wait(Some(later))
    }

    /// The connection ends without a program.
    fn never_started(
        &mut self,
        guest: &mut Conversation,
        why: Why,
        around: &mut Around<'_, '_>,
    ) -> Next {
        self.short.retain(|key| *key != around.key);
        self.oldest.remove(&(guest.born(), around.key));
        guest.record(why.words(), guest.traffic(), around);
        farewell(guest.socket(), b"");
        Next::Close
    }

    /// Hears of what was started.
    fn take_started(&mut self, news: &mut Vec<(usize, News)>) {
        for (key, started) in self.spawner.done() {
            if let Ok(pid) = started {
                self.running.insert(pid, key);
            }
            news.push((key, News::Started(started)));
        }
    }

    /// Waits for the children that have ended.
    fn reap(&mut self, news: &mut Vec<(usize, News)>) {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while self.child_ended {
            let ended = waitid(Id::All, look).ok().and_then(|status| status.pid());
            let Some(pid) = ended else {
                self.child_ended = false;
                return;
            };
            if let Some(key) = self.running.remove(&pid) {
                // As long as the program is not waited for, its number is that of its group only.
                let _ = killpg(pid, Signal::SIGTERM);
                self.orphans.may_be_of(pid);
                if let Ok(status) = waitid(Id::Pid(pid), WaitPidFlag::WEXITED) {
                    news.push((key, News::Ended(status)));
                }
                if let Some(key) = self.short.pop() {
                    news.push((key, News::Retry));
                }
            } else if self.may_be_starting(pid) {
                self.spawner.wake_me();
                self.take_started(news);
                if !self.running.contains_key(&pid) && self.may_be_starting(pid) {
                    return;
                }
            } else {
                let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED);
                self.orphans.ended(pid);
            }
        }
    }

    /// Whether a child that nobody knows may be a program of which it was not heard yet that it was
    /// started.
    fn may_be_starting(&mut self, pid: Pid) -> bool {
        let last = match self.nameless {
            Some((known, last)) if known == pid => last,
            _ => self.spawner.last(),
        };
        self.nameless = Some((pid, last));
        !self.spawner.past(last)
    }
}

/// What a program is told about the client, in its environment: REMOTE_ADDR and REMOTE_PORT as
/// systemd has them, REMOTE_HOST as xinetd.
fn about(peer: Peer, connection: RawFd) -> Vec<CString> {
    let told = match peer {
        Peer::Tcp(address) => {
            let ip = address.ip().to_string();
            vec![
                assignment(b"REMOTE_ADDR", ip.as_bytes()),
                assignment(b"REMOTE_PORT", address.port().to_string().as_bytes()),
                assignment(b"REMOTE_HOST", ip.as_bytes()),
            ]
        }
        // Few clients give their own socket a name.
        _ => vec![match getpeername::<UnixAddr>(connection) {
            Ok(name) => match (name.path(), name.as_abstract()) {
                (Some(path), _) => assignment(b"REMOTE_ADDR", path.as_os_str().as_encoded_bytes()),
                (None, Some(name)) => assignment(b"REMOTE_ADDR", &[b"@", name].concat()),
                (None, None) => None,
            },
            Err(_) => None,
        }],
    };
    told.into_iter().flatten().collect()
}
