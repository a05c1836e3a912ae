//! Attacks on a service that has conversations as celebs does, and a client of another source that measures what they do
//! to others.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// After this long, a client is not served any more.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What the attacking clients do, each from an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Each connection is a whole conversation.
    Read,
    /// Closed at once.
    Close,
    /// Reset at once.
    Reset,
    /// Random bytes, then closed without reading.
    Garbage,
    /// Kept open, and silent.
    Hold,
    /// Kept open, with a byte now and then.
    Dribble,
    /// Kept open, with names whose answers are not read.
    Deaf,
}

impl Attack {
    pub const ALL: [Attack; 7] = [
        Attack::Read,
        Attack::Close,
        Attack::Reset,
        Attack::Garbage,
        Attack::Hold,
        Attack::Dribble,
        Attack::Deaf,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Attack::Read => "read to the end",
            Attack::Close => "close at once",
            Attack::Reset => "reset at once",
            Attack::Garbage => "send 16 KiB of random bytes",
            Attack::Hold => "stay silent",
            Attack::Dribble => "send a byte a second",
            Attack::Deaf => "read no answers",
        }
    }

    /// Whether the connections stay open, all at once.
    pub fn holds(self) -> bool {
        matches!(self, Attack::Hold | Attack::Dribble | Attack::Deaf)
    }
}

/// What an attack did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// Connections of the attack.
    pub connections: usize,
    /// Those that were refused by the kernel, or that should have got an answer and got none.
    pub lost: usize,
    /// Conversations of the other client meanwhile.
    pub others: usize,
    /// Those of them that failed.
    pub others_lost: usize,
    /// The longest of them.
    pub slowest: Duration,
    /// One that began after the attack.
    pub next: Duration,
}

/// Has `clients` threads make `count` connections together.
pub fn attack(attack: Attack, server: SocketAddrV4, count: usize, clients: usize) -> Outcome {
    let done = AtomicBool::new(false);
    let mut outcome = thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut outcome = Outcome::default();
            while !done.load(Ordering::Relaxed) {
                let (taken, answered) = timed(server);
                outcome.others += 1;
                outcome.others_lost += usize::from(!answered);
                outcome.slowest = outcome.slowest.max(taken);
                thread::sleep(Duration::from_millis(50));
            }
            outcome
        });
        let attackers: Vec<_> = (0..clients)
            .map(|client| {
                let source = Ipv4Addr::new(127, 0, 1, client as u8 + 1);
                let own = count / clients;
                scope.spawn(move || match attack.holds() {
                    true => hold(attack, server, source, own),
                    false => (0..own).filter(|_| !once(attack, server, source)).count(),
                })
            })
            .collect();
        let lost = attackers.into_iter().map(|thread| thread.join().unwrap());
        let lost = lost.sum();
        done.store(true, Ordering::Relaxed);
        Outcome {
            connections: count / clients * clients,
            lost,
            ..other.join().unwrap()
        }
    });
    let (taken, answered) = timed(server);
    outcome.next = taken;
    outcome.others_lost += usize::from(!answered);
    outcome
}

/// A connection from an address.
fn open(server: SocketAddrV4, source: Ipv4Addr) -> nix::Result<TcpStream> {
    let client = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let timeout = TimeVal::milliseconds(TIMEOUT.as_millis() as i64);
    setsockopt(&client, sockopt::SendTimeout, &timeout)?;
    setsockopt(&client, sockopt::ReceiveTimeout, &timeout)?;
    // What a client that does not read lets the kernel hold is little.
    setsockopt(&client, sockopt::RcvBuf, &4096)?;
    setsockopt(&client, sockopt::SndBuf, &4096)?;
    // The kernel chooses the port when it knows the server, so that there are enough of them.
    setsockopt(&client, sockopt::IpBindAddressNoPort, &true)?;
    bind(
        client.as_raw_fd(),
        &SockaddrIn::from(SocketAddrV4::new(source, 0)),
    )?;
    connect(client.as_raw_fd(), &SockaddrIn::from(server))?;
    Ok(client.into())
}

/// Has a conversation. Returns whether it was complete.
fn converse(server: SocketAddrV4, source: Ipv4Addr) -> bool {
    let Ok(mut client) = open(server, source) else {
        return false;
    };
    let mut answer = String::new();
    client.write_all(b"linus\nq\n").is_ok()
        && client.shutdown(Shutdown::Write).is_ok()
        && client.read_to_string(&mut answer).is_ok()
        && answer.contains("torvalds")
        && answer.ends_with("Finished\n")
}

/// A conversation from another source than that of an attack: its time, and whether it was complete.
fn timed(server: SocketAddrV4) -> (Duration, bool) {
    let begin = Instant::now();
    let answered = converse(server, Ipv4Addr::LOCALHOST);
    (begin.elapsed(), answered)
}

/// One connection of an attack. Returns false if it was lost.
fn once(attack: Attack, server: SocketAddrV4, source: Ipv4Addr) -> bool {
    if attack == Attack::Read {
        return converse(server, source);
    }
    let Ok(mut client) = open(server, source) else {
        return false;
    };
    match attack {
        Attack::Reset => reset(client),
        Attack::Garbage => {
            let mut state = Instant::now().elapsed().subsec_nanos() | 1;
            let bytes: Vec<u8> = (0..16 * 1024)
                .map(|_| {
                    // xorshift32
                    state ^= state << 13;
                    state ^= state >> 17;
                    state ^= state << 5;
                    state as u8
                })
                .collect();
            // The service may have ended the session.
            let _ = client.write_all(&bytes);
        }
        _ => {}
    }
    true
}

/// Closes with a reset.
fn reset(client: TcpStream) {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    let _ = setsockopt(&client, sockopt::Linger, &linger);
}

/// Keeps all connections open, and closes them together. Those that the service refuses, because they are too many, are
/// not lost.
fn hold(attack: Attack, server: SocketAddrV4, source: Ipv4Addr, count: usize) -> usize {
    let mut held = Vec::new();
    let mut lost = 0;
    for _ in 0..count {
        match open(server, source) {
            Ok(client) => {
                client.set_nonblocking(true).unwrap();
                held.push(client);
            }
            Err(_) => lost += 1,
        }
    }
    let names = b"linus\n".repeat(100);
    for _ in 0..2 {
        for client in &mut held {
            match attack {
                Attack::Dribble => drop(client.write(b"x")),
                Attack::Deaf => while client.write(&names).is_ok() {},
                _ => {}
            }
        }
        thread::sleep(Duration::from_secs(1));
    }
    lost
}
