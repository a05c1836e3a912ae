//! Sessions with the service of packaging/cluster, short and long ones, while its servers are upgraded or killed: how
//! many were served, refused and interrupted.
//!
//! The service sends a line with the name of its server, repeats each line of its client, and ends after `bye`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use crate::tools::{TIMEOUT, connect_from, millis};

/// How many failures are printed.
const PRINTED: usize = 10;

#[derive(Debug, Args)]
pub struct Options {
    /// Hold at least this many short sessions, one after another from each client
    #[arg(long)]
    short: usize,
    /// Hold at least this many long sessions, one after another from each client
    #[arg(long)]
    long: usize,
    /// Number of clients with short sessions
    #[arg(long, default_value_t = 8)]
    short_clients: usize,
    /// Number of clients with long sessions
    #[arg(long, default_value_t = 100)]
    long_clients: usize,
    /// Lines of a long session, one per second
    #[arg(long, default_value_t = 20)]
    lines: usize,
    /// Sessions that begin in this phase may be refused or interrupted
    #[arg(long, value_name = "PHASE")]
    may_fail: Option<String>,
    /// Fail if the server's name takes longer than this, except in that phase
    #[arg(long, value_name = "MILLISECONDS")]
    slowest: Option<u64>,
    /// The first source address
    #[arg(long)]
    source: Ipv4Addr,
    /// The number of source addresses
    #[arg(long, default_value_t = 32)]
    sources: u32,
    /// The address of the service
    server: SocketAddrV4,
}

/// Why a session failed.
enum Failure {
    /// The server did not send its name.
    Refused(anyhow::Error),
    /// The server sent its name, but the session ended early.
    Interrupted(String, anyhow::Error),
}

/// The sessions that began in one phase.
#[derive(Debug, Default)]
struct Phase {
    name: String,
    short: usize,
    long: usize,
    refused: usize,
    interrupted: usize,
    /// The longest time from connect to the name of the server.
    slowest: Duration,
    servers: BTreeSet<String>,
}

struct Load<'o> {
    options: &'o Options,
    started: Instant,
    begun: AtomicUsize,
    served: [AtomicUsize; 2],
    ending: AtomicBool,
    phases: Mutex<Vec<Phase>>,
    /// The index of the present phase.
    phase: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

/// Each line of standard input begins a phase with this name. Prints a line as soon as enough sessions were served,
/// and continues until the end of the input.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let load = Load {
        options,
        started: Instant::now(),
        begun: AtomicUsize::new(0),
        served: [AtomicUsize::new(0), AtomicUsize::new(0)],
        ending: AtomicBool::new(false),
        phases: Mutex::new(Vec::new()),
        phase: AtomicUsize::new(0),
        failures: Mutex::new(Vec::new()),
    };
    let mut names = io::stdin().lock().lines();
    load.begin(names.next().context("standard input names no phase")??);
    thread::scope(|scope| -> anyhow::Result<()> {
        for _ in 0..options.short_clients {
            scope.spawn(|| load.repeat(false));
        }
        for number in 0..options.long_clients {
            // The long sessions end at different times.
            let delay = Duration::from_secs(1) * number as u32 / options.long_clients as u32;
            let load = &load;
            scope.spawn(move || {
                thread::sleep(delay);
                load.repeat(true);
            });
        }
        scope.spawn(|| load.announce());
        let read = names.try_for_each(|name| name.map(|name| load.begin(name)));
        load.ending.store(true, Ordering::Relaxed);
        Ok(read?)
    })?;
    load.print()
}

impl Load<'_> {
    /// Begins a phase, which may have been before.
    fn begin(&self, name: String) {
        let mut phases = lock(&self.phases);
        let known = phases.iter().position(|phase| phase.name == name);
        let phase = known.unwrap_or(phases.len());
        if known.is_none() {
            phases.push(Phase {
                name,
                ..Phase::default()
            });
        }
        self.phase.store(phase, Ordering::Relaxed);
    }

    /// Prints that enough sessions were served.
    fn announce(&self) {
        let enough = || {
            self.served[0].load(Ordering::Relaxed) >= self.options.short
                && self.served[1].load(Ordering::Relaxed) >= self.options.long
        };
        while !enough() && !self.ending.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
        }
        println!("enough");
    }

    /// Holds sessions until the load ends.
    fn repeat(&self, long: bool) {
        while !self.ending.load(Ordering::Relaxed) {
            let phase = self.phase.load(Ordering::Relaxed);
            let start = Instant::now();
            let result = self.converse(long);
            let mut phases = lock(&self.phases);
            let phase = &mut phases[phase];
            match result {
                Ok((server, waited)) => {
                    self.served[usize::from(long)].fetch_add(1, Ordering::Relaxed);
                    *(if long {
                        &mut phase.long
                    } else {
                        &mut phase.short
                    }) += 1;
                    phase.slowest = phase.slowest.max(waited);
                    phase.servers.insert(server);
                }
                Err(failure) => {
                    let what = match failure {
                        Failure::Refused(error) => {
                            phase.refused += 1;
                            format!("refused: {error:#}")
                        }
                        Failure::Interrupted(server, error) => {
                            phase.interrupted += 1;
                            format!("interrupted by {server}: {error:#}")
                        }
                    };
                    let begun = start.duration_since(self.started).as_secs_f64();
                    let lasted = start.elapsed().as_secs_f64();
                    let line = format!(
                        "{}, from {begun:.1} s on, after {lasted:.2} s: {what}",
                        phase.name
                    );
                    lock(&self.failures).push(line);
                }
            }
        }
    }

    /// Returns the name of the server, and the time until it arrived.
    fn converse(&self, long: bool) -> Result<(String, Duration), Failure> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) as u32;
        let source = Ipv4Addr::from(u32::from(self.options.source) + number % self.options.sources);
        let start = Instant::now();
        let mut server = String::new();
        let stream = connect_from(source, self.options.server, TIMEOUT)
            .and_then(|stream| {
                let mut stream = BufReader::new(stream);
                stream.read_line(&mut server)?;
                if !server.ends_with('\n') {
                    bail!("closed after {server:?}");
                }
                Ok(stream)
            })
            .map_err(Failure::Refused)?;
        let waited = start.elapsed();
        let server = server.trim_end().to_owned();
        let lines = if long { self.options.lines } else { 1 };
        match exchange(stream, lines, long) {
            Ok(()) => Ok((server, waited)),
            Err(error) => Err(Failure::Interrupted(server, error)),
        }
    }

    fn print(&self) -> anyhow::Result<()> {
        let phases = lock(&self.phases);
        println!(
            "{:<40} {:>7} {:>6} {:>7} {:>11} {:>11}  served by",
            "sessions that began", "short", "long", "refused", "interrupted", "slowest, ms"
        );
        let mut all = BTreeMap::new();
        for phase in phases.iter() {
            let servers: Vec<_> = phase.servers.iter().map(String::as_str).collect();
            println!(
                "{:<40} {:>7} {:>6} {:>7} {:>11} {:>11.0}  {}",
                phase.name,
                phase.short,
                phase.long,
                phase.refused,
                phase.interrupted,
                millis(phase.slowest),
                servers.join(", ")
            );
            for (what, count) in [
                ("short", phase.short),
                ("long", phase.long),
                ("refused", phase.refused),
                ("interrupted", phase.interrupted),
            ] {
                *all.entry(what).or_insert(0) += count;
            }
        }
        println!(
            "{} short and {} long sessions served in {:.0} s, {} refused, {} interrupted",
            all["short"],
            all["long"],
            self.started.elapsed().as_secs_f64(),
            all["refused"],
            all["interrupted"]
        );
        for failure in lock(&self.failures).iter().take(PRINTED) {
            println!("{failure}");
        }
        let may_fail = |phase: &&Phase| Some(&phase.name) == self.options.may_fail.as_ref();
        let strict = || phases.iter().filter(|phase| !may_fail(phase));
        if strict().any(|phase| phase.refused + phase.interrupted > 0) {
            bail!("sessions were refused or interrupted");
        }
        let limit = self.options.slowest.map(Duration::from_millis);
        if strict().any(|phase| limit.is_some_and(|limit| phase.slowest > limit)) {
            bail!("a session took too long to begin");
        }
        Ok(())
    }
}

/// Sends lines and `bye`, and reads each back, until the server closes the connection.
fn exchange(mut stream: BufReader<TcpStream>, lines: usize, slowly: bool) -> anyhow::Result<()> {
    for number in 0..=lines {
        let line = match number == lines {
            true => "bye\n".to_owned(),
            false => format!("line {number}\n"),
        };
        stream.get_mut().write_all(line.as_bytes())?;
        let mut answer = String::new();
        stream.read_line(&mut answer)?;
        if answer != line {
            bail!("sent {line:?}, received {answer:?}");
        }
        if slowly && number < lines {
            thread::sleep(Duration::from_secs(1));
        }
    }
    match stream.read_line(&mut String::new())? {
        0 => Ok(()),
        _ => bail!("received more after the end"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panics")
}
