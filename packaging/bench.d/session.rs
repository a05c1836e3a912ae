//! A blocking client of celebs, which checks every answer.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::tools::{TIMEOUT, connect_from};
use anyhow::{Context, bail};

pub const PROMPT: &str = "Please type Linux celebs name below:\n";

/// An open session.
#[derive(Debug)]
pub struct Session(TcpStream);

impl Session {
    /// Connects and waits for the prompt. One source address does not have enough ports for all sessions.
    pub fn new(server: SocketAddr, source: Ipv4Addr) -> anyhow::Result<Session> {
        let SocketAddr::V4(server) = server else {
            bail!("{server} is not an IPv4 address");
        };
        let mut session = Session(connect_from(source, server, TIMEOUT)?);
        session.expect(PROMPT)?;
        Ok(session)
    }

    /// Sends a line.
    pub fn send(&mut self, name: &str) -> anyhow::Result<()> {
        self.0.write_all(format!("{name}\n").as_bytes())?;
        Ok(())
    }

    /// Reads the answer to a name, and the next prompt.
    pub fn expect_answer(&mut self, name: &str) -> anyhow::Result<()> {
        let answer = match name {
            "richard" => "stallman",
            "linus" => "torvalds",
            "maddog" => "hall",
            _ => "Unknown celeb",
        };
        self.expect(&format!(":{name}, \n{answer}\n{PROMPT}"))
    }

    /// Sends quit and reads to the end.
    pub fn quit(mut self) -> anyhow::Result<()> {
        self.send("quit")?;
        self.expect(":quit, \n\nFinished\n")?;
        match self.0.read(&mut [0])? {
            0 => Ok(()),
            _ => bail!("the server sent data after the end of the session"),
        }
    }

    /// The time of a session, from connect to its end.
    pub fn timed(server: SocketAddr) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let mut session = Session::new(server, Ipv4Addr::LOCALHOST)?;
        session.send("linus")?;
        session.expect_answer("linus")?;
        session.quit()?;
        Ok(start.elapsed())
    }

    fn expect(&mut self, text: &str) -> anyhow::Result<()> {
        let mut got = vec![0; text.len()];
        self.0
            .read_exact(&mut got)
            .context("the answer is incomplete")?;
        if got != text.as_bytes() {
            bail!("expected {text:?}, got {:?}", String::from_utf8_lossy(&got));
        }
        Ok(())
    }
}
