//! Many celebs conversations in one process: what each takes of its memory, and whether the others notice.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

use crate::talker::Talker;
use crate::tools::{allow_descriptors, millis, percentile, pss};

/// Conversations that are timed.
const TIMED: usize = 500;
/// Names that each of those says who talk at once.
const NAMES: usize = 10;

#[derive(Debug, Args)]
pub struct Options {
    /// The process that serves all connections
    #[arg(long)]
    pid: u32,
    /// Conversations that are open and idle
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Conversations that go on at once
    #[arg(long, default_value_t = 2_000)]
    talking: usize,
    #[arg(value_name = "ADDRESS:PORT")]
    server: SocketAddr,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    allow_descriptors(options.idle.max(options.talking) as u64 + 100)?;
    let server = options.server;
    Talker::timed(server)?;
    let empty = pss(options.pid)?;
    let before = timed(server)?;
    let idle = talkers(server, options.idle)?;
    let full = pss(options.pid)?;
    let with = timed(server)?;
    let count = options.idle;
    println!("\ncelebs, all connections in one process\n");
    println!("memory, empty: {empty} KiB; with {count} idle conversations: {full} KiB");
    println!(
        "  for each conversation {:.2} KiB (goal: at most 8; without what the kernel keeps for a socket)",
        full.saturating_sub(empty) as f64 / count as f64
    );
    let (alone, beside) = (percentile(&before, 50), percentile(&with, 50));
    println!(
        "the next conversation, connect to end, median and 99 %: empty {:.3} and {:.3} ms, beside them {:.3} and {:.3} ms",
        millis(alone),
        millis(percentile(&before, 99)),
        millis(beside),
        millis(percentile(&with, 99)),
    );
    println!(
        "  {:+.3} ms in the median (goal: at most 2)",
        millis(beside) - millis(alone)
    );
    for talker in idle {
        talker.quit()?;
    }
    talk_at_once(server, options.talking)
}

/// Everyone says a name before the first answer is read, so that all of them are waited for at once.
fn talk_at_once(server: SocketAddr, count: usize) -> anyhow::Result<()> {
    let mut talkers = talkers(server, count)?;
    let start = Instant::now();
    for round in 0..NAMES {
        let name = |number: usize| match (round + number) % 4 {
            0 => "richard".into(),
            1 => "linus".into(),
            2 => "maddog".into(),
            // Nobody else says this, so that an answer which goes astray is noticed.
            _ => format!("number {number} {round}"),
        };
        for (number, talker) in talkers.iter_mut().enumerate() {
            talker.say(&name(number))?;
        }
        for (number, talker) in talkers.iter_mut().enumerate() {
            talker.expect_answer(&name(number))?;
        }
    }
    let took = start.elapsed();
    for talker in talkers {
        talker.quit()?;
    }
    println!(
        "{count} conversations at once: {} answers in {:.2} s, all of them right",
        count * NAMES,
        took.as_secs_f64()
    );
    Ok(())
}

/// Conversations that wait for a name, 2,000 from an address.
fn talkers(server: SocketAddr, count: usize) -> anyhow::Result<Vec<Talker>> {
    (0..count)
        .map(|number| {
            let source = Ipv4Addr::from_bits(0x7F00_0002 + (number / 2000) as u32);
            Talker::new(server, source).with_context(|| format!("conversation {number}"))
        })
        .collect()
}

fn timed(server: SocketAddr) -> anyhow::Result<Vec<Duration>> {
    (0..TIMED).map(|_| Talker::timed(server)).collect()
}
