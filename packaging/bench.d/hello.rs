//! Connections to services that answer as hello does. Each is timed from connect to the end of the data, and its answer
//! is checked.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use nix::sys::socket::{SockaddrIn, connect};

use crate::tools::{Named, Rng, TIMEOUT, client_socket, millis, named, percentile};

/// The processor time of all processes of the machine, including PID 1. The clients are not in its cgroup.
const CPU: &str = "/sys/fs/cgroup/cpu.stat";

#[derive(Debug, Args)]
pub struct Options {
    /// Open this many connections at once
    #[arg(long)]
    clients: usize,
    /// Measure each service this many times
    #[arg(long, default_value_t = 6)]
    rounds: usize,
    /// Measure for this long each time; hello as one process logs 200 connections per second, so a shorter time has more
    /// log entries per connection
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000)]
    turn: u64,
    /// End a measurement early after this many connections
    #[arg(long, default_value_t = 50_000)]
    most: usize,
    /// Leave the service alone for this long before each connection; the rates do not count it
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pause: u64,
    /// Begin connections to a service with a header of the PROXY protocol, version 1 or 2
    #[arg(long, value_name = "NAME=VERSION", value_parser = named)]
    header: Vec<Named>,
    /// Compare times with this service
    #[arg(long, value_name = "NAME")]
    times_of: String,
    /// Compare rates with this service
    #[arg(long, value_name = "NAME")]
    rates_of: String,
    /// Append the results to this file
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Label of the results in that file
    #[arg(long)]
    label: String,
    /// The services to compare
    #[arg(value_name = "NAME=ADDRESS:PORT", value_parser = named, required = true)]
    contenders: Vec<Named>,
}

struct Contender {
    name: String,
    address: SocketAddrV4,
    /// What its clients send first.
    header: &'static [u8],
    times: Vec<Duration>,
    /// The total time of its measurements.
    busy: Duration,
    /// The processor time of the server side, until it is idle again.
    cpu: Duration,
}

impl Contender {
    fn rate(&self) -> f64 {
        self.times.len() as f64 / self.busy.as_secs_f64()
    }

    fn cpu_per_1000(&self) -> f64 {
        self.cpu.as_secs_f64() * 1000.0 / self.times.len() as f64
    }
}

/// The header for a service.
fn header(options: &Options, service: &str) -> anyhow::Result<&'static [u8]> {
    let mut headers = options.header.iter();
    match headers.find(|header| header.name == service) {
        None => Ok(b""),
        Some(header) => match header.value.as_str() {
            "1" => Ok(b"PROXY TCP4 192.0.2.7 192.0.2.11 40112 4000\r\n"),
            "2" => Ok(
                b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x0b\x9c\xb0\x0f\xa0",
            ),
            other => bail!("{service}: there is no version {other:?} of the header"),
        },
    }
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut contenders = Vec::new();
    for Named { name, value } in &options.contenders {
        let SocketAddr::V4(address) = value
            .parse()
            .with_context(|| format!("{value:?} is not ADDRESS:PORT"))?
        else {
            bail!("{value:?} is not an IPv4 address");
        };
        contenders.push(Contender {
            name: name.clone(),
            address,
            header: header(options, name)?,
            times: Vec::new(),
            busy: Duration::ZERO,
            cpu: Duration::ZERO,
        });
    }
    measure(options, &mut contenders)?;
    print(options, &contenders)?;
    save(options, &contenders)
}

fn measure(options: &Options, contenders: &mut [Contender]) -> anyhow::Result<()> {
    let mut rng = Rng(1);
    // A short first round does not count: the first connections read programs and units from disk.
    for round in 0..=options.rounds {
        for index in rng.order(contenders.len()) {
            let contender = &mut contenders[index];
            let before = settled()?;
            let turn = Duration::from_millis(options.turn);
            let turn = if round == 0 { turn / 4 } else { turn };
            let (times, busy) = measure_once(contender, options, turn)
                .with_context(|| format!("{} at {}", contender.name, contender.address))?;
            let cpu = settled()? - before;
            if round > 0 {
                contender.times.extend(times);
                contender.busy += busy;
                contender.cpu += cpu;
            }
        }
    }
    Ok(())
}

/// Opens connections for this long; returns the time of each, and the elapsed time without pauses.
fn measure_once(
    contender: &Contender,
    options: &Options,
    turn: Duration,
) -> anyhow::Result<(Vec<Duration>, Duration)> {
    let pause = Duration::from_millis(options.pause);
    let begun = AtomicUsize::new(0);
    let start = Instant::now();
    let times = thread::scope(|scope| {
        let threads: Vec<_> = (0..options.clients)
            .map(|_| {
                scope.spawn(|| {
                    let mut times = Vec::new();
                    while times.is_empty()
                        || (start.elapsed() < turn && begun.load(Ordering::Relaxed) < options.most)
                    {
                        thread::sleep(pause);
                        begun.fetch_add(1, Ordering::Relaxed);
                        times.push(connection(contender.address, contender.header)?);
                    }
                    anyhow::Ok(times)
                })
            })
            .collect();
        let mut times = Vec::new();
        for thread in threads {
            times.extend(thread.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        anyhow::Ok(times)
    })?;
    let paused = pause.mul_f64(times.len() as f64 / options.clients as f64);
    Ok((times, start.elapsed().saturating_sub(paused)))
}

/// One connection, with as few system calls as possible, so that the cost of the client does not hide that of the server.
pub fn connection(address: SocketAddrV4, header: &[u8]) -> anyhow::Result<Duration> {
    let mut answer = [0; 256];
    let mut length = 0;
    let start = Instant::now();
    let client = client_socket(TIMEOUT)?;
    connect(client.as_raw_fd(), &SockaddrIn::from(address))?;
    let mut stream = TcpStream::from(client);
    if !header.is_empty() {
        stream.write_all(header)?;
    }
    loop {
        match stream.read(&mut answer[length..])? {
            0 => break,
            n => length += n,
        }
    }
    let elapsed = start.elapsed();
    let answer = &answer[..length];
    if answer.starts_with(b"Hello World:") && answer.ends_with(b"\n") {
        Ok(elapsed)
    } else {
        bail!("unexpected answer: {:?}", String::from_utf8_lossy(answer))
    }
}

/// The processor time of the machine, once it is idle: systemd still works for a connection when the client has its
/// answer.
fn settled() -> anyhow::Result<Duration> {
    let deadline = Instant::now() + TIMEOUT;
    let mut used = cpu()?;
    while Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
        let now = cpu()?;
        if now - used < Duration::from_millis(1) {
            return Ok(now);
        }
        used = now;
    }
    bail!("the machine does not become idle: another process is active in it")
}

fn cpu() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string(CPU).with_context(|| format!("cannot read {CPU}"))?;
    let usage = text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "))
        .and_then(|usage| usage.parse().ok())
        .with_context(|| format!("{CPU} has no usage_usec"))?;
    Ok(Duration::from_micros(usage))
}

fn print(options: &Options, contenders: &[Contender]) -> anyhow::Result<()> {
    let find = |name: &str| {
        contenders
            .iter()
            .find(|contender| contender.name == name)
            .with_context(|| format!("unknown service {name:?}"))
    };
    let base_rate = find(&options.rates_of)?.rate();
    let base_time = percentile(&find(&options.times_of)?.times, 50);
    println!(
        "\nhello, {} client{}{}; rates relative to \"{}\", times relative to \"{}\"\n",
        options.clients,
        if options.clients == 1 { "" } else { "s" },
        match options.pause {
            0 => String::new(),
            pause => format!(", {pause} ms after the last connection"),
        },
        options.rates_of,
        options.times_of,
    );
    println!(
        "{:<30} {:>8} {:>7} {:>10} {:>7} {:>9} {:>10} {:>7}",
        "", "per s", "x", "median ms", "x", "99 % ms", "CPU s/1000", "count"
    );
    for contender in contenders {
        let median = percentile(&contender.times, 50);
        println!(
            "{:<30} {:>8.0} {:>7.2} {:>10.3} {:>7.2} {:>9.3} {:>10.3} {:>7}",
            contender.name,
            contender.rate(),
            contender.rate() / base_rate,
            millis(median),
            median.as_secs_f64() / base_time.as_secs_f64(),
            millis(percentile(&contender.times, 99)),
            contender.cpu_per_1000(),
            contender.times.len(),
        );
    }
    Ok(())
}

/// Writes a line per service, with tabs between label, clients, name, connections per second and median in ms.
fn save(options: &Options, contenders: &[Contender]) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&options.data)
        .with_context(|| format!("cannot open {}", options.data.display()))?;
    for contender in contenders {
        writeln!(
            file,
            "{}\t{}\t{}\t{:.1}\t{:.4}",
            options.label,
            options.clients,
            contender.name,
            contender.rate(),
            millis(percentile(&contender.times, 50)),
        )?;
    }
    Ok(())
}
