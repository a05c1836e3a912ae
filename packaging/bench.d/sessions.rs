//! Sessions with celebs, one after another, each through a client process of its own.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use crate::session::{PROMPT, Session};
use crate::tools::{Named, Rng, cpu_of_children, millis, named, percentile};

#[derive(Debug, Args)]
pub struct Options {
    /// Start each client this many times
    #[arg(long, default_value_t = 1000)]
    count: usize,
    /// The address of celebs
    #[arg(long, value_name = "ADDRESS:PORT")]
    server: SocketAddr,
    /// Commands of clients; the others are compared with the first
    #[arg(value_name = "NAME=COMMAND", value_parser = named, required = true)]
    clients: Vec<Named>,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let clients = &options.clients;
    let mut times = vec![Vec::new(); clients.len()];
    let mut cpus = times.clone();
    let mut unstarted = Vec::new();
    let mut rng = Rng(1);
    for round in 0..=options.count {
        for index in rng.order(clients.len()) {
            let (time, cpu) = once(&clients[index]).with_context(|| clients[index].name.clone())?;
            if round > 0 {
                times[index].push(time);
                cpus[index].push(cpu);
            }
        }
        unstarted.push(Session::timed(options.server)?);
    }
    println!(
        "\ntime of a celebs session (linus, quit), from start to exit of the client, {} of each\n",
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
        "the session, without a new process",
        millis(percentile(&unstarted, 50))
    );
    Ok(())
}

/// Runs a client on pipes and checks what it prints.
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
        // A client that sends the names itself may have exited.
        let _ = input.write_all(b"linus\nquit\n");
    }
    let mut printed = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut printed)?;
    }
    let status = child.wait()?;
    let time = start.elapsed();
    if !status.success() {
        bail!("the client failed: {status}");
    }
    if printed != format!("{PROMPT}:linus, \ntorvalds\n{PROMPT}:quit, \n\nFinished\n") {
        bail!("unexpected output: {printed:?}");
    }
    Ok((time, cpu_of_children()? - before))
}
