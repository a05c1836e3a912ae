//! Conversations with celebs in a row, each through a client that is started for it.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use crate::talker::{PROMPT, Talker};
use crate::tools::{Dice, Named, cpu_of_children, millis, named, percentile};

#[derive(Debug, Args)]
pub struct Options {
    /// How many conversations each client has
    #[arg(long, default_value_t = 1000)]
    count: usize,
    #[arg(long)]
    server: SocketAddr,
    /// Commands; the first is what the others are compared with
    #[arg(value_name = "NAME=COMMAND", value_parser = named, required = true)]
    clients: Vec<Named>,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let clients = &options.clients;
    let mut times = vec![Vec::new(); clients.len()];
    let mut cpus = times.clone();
    let mut unstarted = Vec::new();
    let mut dice = Dice(1);
    for round in 0..=options.count {
        for index in dice.order(clients.len()) {
            let (time, cpu) = once(&clients[index]).with_context(|| clients[index].name.clone())?;
            if round > 0 {
                times[index].push(time);
                cpus[index].push(cpu);
            }
        }
        unstarted.push(Talker::timed(options.server)?);
    }
    println!(
        "\na conversation with celebs (linus, quit), start to end of the client, {} of each in turn\n",
        options.count
    );
    println!(
        "{:<34} {:>10} {:>7} {:>9} {:>8}",
        "", "median ms", "x", "99 % ms", "CPU ms"
    );
    let base = percentile(&times[0], 50);
    for ((client, times), cpus) in clients.iter().zip(&times).zip(&cpus) {
        let median = percentile(times, 50);
        println!(
            "{:<34} {:>10.3} {:>7.2} {:>9.3} {:>8.3}",
            client.name,
            millis(median),
            median.as_secs_f64() / base.as_secs_f64(),
            millis(percentile(times, 99)),
            millis(percentile(cpus, 50)),
        );
    }
    println!(
        "{:<34} {:>10.3}",
        "the conversation, nothing started",
        millis(percentile(&unstarted, 50))
    );
    Ok(())
}

/// The same pipes for every client; what it shows is checked.
fn once(client: &Named) -> anyhow::Result<(Duration, Duration)> {
    let before = cpu_of_children()?;
    let start = Instant::now();
    let mut child = client
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", client.value))?;
    if let Some(mut input) = child.stdin.take() {
        // One that asks by itself may have ended already.
        let _ = input.write_all(b"linus\nquit\n");
    }
    let mut shown = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut shown)?;
    }
    let status = child.wait()?;
    let time = start.elapsed();
    if !status.success() {
        bail!("it ended with {status}");
    }
    if shown != format!("{PROMPT}:linus, \ntorvalds\n{PROMPT}:quit, \n\nFinished\n") {
        bail!("it showed {shown:?}");
    }
    Ok((time, cpu_of_children()? - before))
}
