//! A blocking client of celebs, which checks every answer.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::tools::TIMEOUT;

pub const PROMPT: &str = "Please type Linux celebs name below:\n";

/// A conversation that is under way.
#[derive(Debug)]
pub struct Talker(TcpStream);

impl Talker {
    /// Connects and is asked for a name. The port numbers of one address do not do for all, so each source has some.
    pub fn new(server: SocketAddr, source: Ipv4Addr) -> anyhow::Result<Talker> {
        let SocketAddr::V4(server) = server else {
            bail!("{server} is not an IPv4 address");
        };
        let timeout = TimeVal::seconds(TIMEOUT.as_secs() as i64);
        let client = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        setsockopt(&client, sockopt::SendTimeout, &timeout)?;
        setsockopt(&client, sockopt::ReceiveTimeout, &timeout)?;
        let source = SocketAddrV4::new(source, 0);
        bind(client.as_raw_fd(), &SockaddrIn::from(source))
            .with_context(|| format!("cannot have the address {source}"))?;
        connect(client.as_raw_fd(), &SockaddrIn::from(server))
            .with_context(|| format!("cannot connect to {server}"))?;
        let mut talker = Talker(client.into());
        talker.expect(PROMPT)?;
        Ok(talker)
    }

    /// Says a name, or to quit.
    pub fn say(&mut self, name: &str) -> anyhow::Result<()> {
        self.0.write_all(format!("{name}\n").as_bytes())?;
        Ok(())
    }

    /// Takes the answer to a name, and is asked for the next one.
    pub fn expect_answer(&mut self, name: &str) -> anyhow::Result<()> {
        let answer = match name {
            "richard" => "stallman",
            "linus" => "torvalds",
            "maddog" => "hall",
            _ => "Unknown celeb",
        };
        self.expect(&format!(":{name}, \n{answer}\n{PROMPT}"))
    }

    /// Quits and takes the last words.
    pub fn quit(mut self) -> anyhow::Result<()> {
        self.say("quit")?;
        self.expect(":quit, \n\nFinished\n")?;
        match self.0.read(&mut [0])? {
            0 => Ok(()),
            _ => bail!("there is something after the end"),
        }
    }

    /// How long a conversation takes, from connect to its end.
    pub fn timed(server: SocketAddr) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let mut talker = Talker::new(server, Ipv4Addr::LOCALHOST)?;
        talker.say("linus")?;
        talker.expect_answer("linus")?;
        talker.quit()?;
        Ok(start.elapsed())
    }

    fn expect(&mut self, text: &str) -> anyhow::Result<()> {
        let mut got = vec![0; text.len()];
        self.0.read_exact(&mut got).context("no full answer")?;
        if got != text.as_bytes() {
            bail!(
                "{text:?} should come, and {:?} came",
                String::from_utf8_lossy(&got)
            );
        }
        Ok(())
    }
}
