//! Many celebs sessions in one process: the memory of each, and the time of one more session.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

use crate::session::Session;
use crate::tools::{allow_descriptors, millis, percentile, pss};

/// The number of sessions that are timed.
const TIMED: usize = 500;
/// The number of names that each active session sends.
const NAMES: usize = 10;

#[derive(Debug, Args)]
pub struct Options {
    /// The process ID of the shared celebs service
    #[arg(long)]
    pid: u32,
    /// Open this many idle sessions
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Open this many active sessions
    #[arg(long, default_value_t = 2_000)]
    active: usize,
    #[arg(value_name = "ADDRESS:PORT")]
    server: SocketAddr,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    allow_descriptors(options.idle.max(options.active) + 100)?;
    let server = options.server;
    Session::timed(server)?;
    let empty = pss(options.pid)?;
    let before = timed(server)?;
    let idle = sessions(server, options.idle)?;
    let full = pss(options.pid)?;
    let with = timed(server)?;
    let count = options.idle;
    println!("\ncelebs, one process for all connections\n");
    println!("memory without sessions: {empty} KiB; with {count} idle sessions: {full} KiB");
    println!(
        "  per session: {:.2} KiB (goal: at most 8), without the memory of the kernel",
        full.saturating_sub(empty) as f64 / count as f64
    );
    let (alone, beside) = (percentile(&before, 50), percentile(&with, 50));
    println!(
        "time of one more session, median and 99 %: without idle sessions {:.3} and {:.3} ms, with them {:.3} and {:.3} ms",
        millis(alone),
        millis(percentile(&before, 99)),
        millis(beside),
        millis(percentile(&with, 99)),
    );
    println!(
        "  difference of the medians: {:+.3} ms (goal: at most 2)",
        millis(beside) - millis(alone)
    );
    for session in idle {
        session.quit()?;
    }
    active_sessions(server, options.active)
}

/// All sessions send a name before the first answer is read, so that the service answers all of them at once.
fn active_sessions(server: SocketAddr, count: usize) -> anyhow::Result<()> {
    let mut sessions = sessions(server, count)?;
    let start = Instant::now();
    for round in 0..NAMES {
        let name = |number: usize| match (round + number) % 4 {
            0 => "richard".into(),
            1 => "linus".into(),
            2 => "maddog".into(),
            // No other session sends this, so an answer to the wrong session is found.
            _ => format!("number {number} {round}"),
        };
        for (number, session) in sessions.iter_mut().enumerate() {
            session.send(&name(number))?;
        }
        for (number, session) in sessions.iter_mut().enumerate() {
            session.expect_answer(&name(number))?;
        }
    }
    let took = start.elapsed();
    for session in sessions {
        session.quit()?;
    }
    println!(
        "{count} active sessions: {} correct answers in {:.2} s",
        count * NAMES,
        took.as_secs_f64()
    );
    Ok(())
}

/// Opens sessions, 2,000 from each source address, and waits for their prompts.
fn sessions(server: SocketAddr, count: usize) -> anyhow::Result<Vec<Session>> {
    (0..count)
        .map(|number| {
            let source = Ipv4Addr::from_bits(0x7F00_0002 + (number / 2000) as u32);
            Session::new(server, source).with_context(|| format!("session {number}"))
        })
        .collect()
}

fn timed(server: SocketAddr) -> anyhow::Result<Vec<Duration>> {
    (0..TIMED).map(|_| Session::timed(server)).collect()
}
