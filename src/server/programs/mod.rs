//! A program for each connection, as inetd has it: the connection is its standard input and output.

mod children;
mod conversation;
mod ending;
mod options;
mod orphans;
mod processes;
mod program;
mod spawner;
mod wait;

use std::collections::{BTreeSet, VecDeque};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::{Interest, Registry, Waker};
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::Signal;
use nix::sys::socket::{UnixAddr, getpeername};

pub use self::conversation::Times;
pub use self::options::Options;
pub use self::program::{Program, file_name};

use self::conversation::{Conversation, Phase};
use self::ending::Why;
use self::processes::{News, Processes};
use self::program::assignment;
use self::spawner::Spawner;
use super::accept::PAUSE;
use super::event_loop::WAKER;
use super::farewell::farewell;
use super::host::{Around, Guest, Host, Next};
use super::records::Name;
use crate::connection::{Peer, TcpInfo, send_now};

/// How long programs may take to vanish that were killed.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// Starts programs, and sees to their ends.
pub struct Programs {
    processes: Processes,
    times: Times,
    /// Sent before a program starts.
    banner: Vec<u8>,
    /// Sent where it cannot be started.
    out_of_order: Vec<u8>,
    /// The connections whose programs have not ended, by when they began.
    oldest: BTreeSet<(i64, usize)>,
    /// The connections whose programs could not be started for lack of something.
    short: VecDeque<usize>,
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
        let spawner = Spawner::new(program, waker).context("cannot start threads")?;
        Ok(Programs {
            processes: Processes::new(spawner, times.grace),
            times,
            banner,
            out_of_order,
            oldest: BTreeSet::new(),
            short: VecDeque::new(),
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
            self.processes.wake_me();
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
        self.processes.child_ended();
    }

    fn news(&mut self) -> Vec<(usize, News)> {
        let mut news = self.processes.news();
        // Whoever has ended makes room for one that could not be started.
        let ended = |(_, news): &&(usize, News)| matches!(news, News::Ended(_));
        let room = news.iter().filter(ended).count().min(self.short.len());
        news.extend(self.short.drain(..room).map(|key| (key, News::Retry)));
        news
    }

    fn hear(&mut self, guest: &mut Conversation, news: News, around: &mut Around<'_, '_>) -> Next {
        match news {
            News::Started(Ok(pid)) => guest.started(pid, &self.times, around.now),
            News::Started(Err(errno)) => self.not_started(guest, errno, around),
            News::Ended(program) => {
                // The client is not to wait for what remains to be done.
                let info = TcpInfo::of(guest.socket());
                let next = guest.close(info.as_ref(), around);
                let traffic = info.map(|info| info.traffic());
                self.oldest.remove(&(guest.born(), around.key));
                let status = self.processes.wait_for(program);
                guest.record(&ending::words(guest.why(), status), traffic, around);
                next
            }
            News::Retry if matches!(guest.phase(), Phase::Short(_)) => self.start(guest, around),
            News::Retry => guest.look(&self.times, around.now),
        }
    }

    fn tidy(&mut self, now: Instant) {
        let oldest = self.oldest.first().map(|(born, _)| *born);
        self.processes.tidy(oldest, now);
    }

    fn due(&self) -> Option<Instant> {
        self.processes.due()
    }

    fn finish(&mut self) {
        self.processes.end_all(self.times.grace, LAST_BREATH);
    }
}

impl Programs {
    /// Has the program started for a connection.
    fn start(&mut self, guest: &mut Conversation, around: &mut Around<'_, '_>) -> Next {
        self.short.retain(|key| *key != around.key);
        let connection = guest.socket().as_raw_fd();
        let about = about(guest.name().peer, connection);
        guest.starting(None);
        match self.processes.start(around.key, connection, about) {
            None => guest.look(&self.times, around.now),
            Some(Ok(pid)) => guest.started(pid, &self.times, around.now),
            Some(Err(errno)) => self.not_started(guest, errno, around),
        }
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
        let running = self.processes.running();
        let told = format!(
            "no more programs than these {running} for now: {}",
            errno.desc()
        );
        around.records.complain(&told, around.now);
        self.short.push_back(around.key);
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
