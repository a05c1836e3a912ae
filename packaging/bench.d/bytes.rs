//! Bytes per second through command line clients, in one direction at a time.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::tools::{Named, Rng, TIMEOUT, cpu_of_children, named, percentile};

/// The data is copies of this line.
const LINE: &[u8] = b"The quick brown fox jumps over the lazy dog, and runs on to the river.\n";

#[derive(Debug, Args)]
pub struct Options {
    /// Measure each client this many times
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Transfer this much each time
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    size: usize,
    /// Commands of clients, words separated by spaces; PORT stands for the port of the server
    #[arg(value_name = "NAME=COMMAND", value_parser = named, required = true)]
    clients: Vec<Named>,
}

/// Where the bytes go from and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToNull,
    ToCat,
    FromPipe,
}

const DIRECTIONS: [(Direction, &str); 3] = [
    (Direction::ToNull, "server to client, into /dev/null"),
    (Direction::ToCat, "server to client, into a pipe to cat"),
    (Direction::FromPipe, "client to server, lines from a pipe"),
];

pub fn run(options: &Options) -> anyhow::Result<()> {
    // A whole number of lines.
    let block = LINE.repeat(1000);
    let blocks = (options.size << 20) / block.len();
    let size = blocks * block.len();
    println!(
        "\nbytes through a client at the command line, {} MiB each time, median of {}\n",
        options.size, options.rounds
    );
    println!("{:<38} {:<18} {:>8} {:>12}", "", "", "MB/s", "CPU s/GB");
    for (direction, what) in DIRECTIONS {
        let mut times = vec![Vec::new(); options.clients.len()];
        let mut cpus = times.clone();
        let mut rng = Rng(1);
        for round in 0..=options.rounds {
            for index in rng.order(options.clients.len()) {
                let client = &options.clients[index];
                let (time, cpu) = once(client, direction, &block, blocks)
                    .with_context(|| format!("{}, {what}", client.name))?;
                if round > 0 {
                    times[index].push(time);
                    cpus[index].push(cpu);
                }
            }
        }
        for ((client, times), cpus) in options.clients.iter().zip(&times).zip(&cpus) {
            println!(
                "{:<38} {:<18} {:>8.0} {:>12.2}",
                what,
                client.name,
                size as f64 / 1e6 / percentile(times, 50).as_secs_f64(),
                percentile(cpus, 50).as_secs_f64() / (size as f64 / 1e9),
            );
        }
    }
    Ok(())
}

/// The time from the start of the client to its exit, and the processor time of the client (and of cat).
fn once(
    client: &Named,
    direction: Direction,
    block: &[u8],
    blocks: usize,
) -> anyhow::Result<(Duration, Duration)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port().to_string();
    let client = Named {
        name: client.name.clone(),
        value: client.value.replace("PORT", &port),
    };
    let before = cpu_of_children()?;
    let start = Instant::now();
    let mut command = client.command();
    // The input stays open until the server is done: some clients exit at the end of their input, others need it to exit.
    command.stdin(Stdio::piped());
    command.stdout(match direction {
        Direction::ToCat => Stdio::piped(),
        Direction::ToNull | Direction::FromPipe => Stdio::null(),
    });
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", client.value))?;
    let input = child.stdin.take();
    let cat = child.stdout.take().map(cat).transpose()?;
    let served = thread::scope(|scope| {
        let server = scope.spawn(|| match direction {
            Direction::ToNull | Direction::ToCat => flood(&listener, block, blocks),
            Direction::FromPipe => discard(&listener, block.len() * blocks),
        });
        let mut input = input.context("the client has no input")?;
        if direction == Direction::FromPipe {
            for _ in 0..blocks {
                input.write_all(block)?;
            }
            drop(input);
            server.join().map_err(|_| anyhow!("the server panicked"))?
        } else {
            let served = server.join().map_err(|_| anyhow!("the server panicked"))?;
            drop(input);
            served
        }
    });
    if served.is_err() {
        // The client may wait for data that does not arrive.
        let _ = child.kill();
    }
    served?;
    wait(&mut child)?;
    if let Some(mut cat) = cat {
        wait(&mut cat)?;
    }
    Ok((start.elapsed(), cpu_of_children()? - before))
}

fn cat(output: std::process::ChildStdout) -> anyhow::Result<Child> {
    Command::new("cat")
        .stdin(output)
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start cat")
}

fn wait(child: &mut Child) -> anyhow::Result<()> {
    let status = child.wait()?;
    if !status.success() {
        bail!("the client failed: {status}");
    }
    Ok(())
}

/// Accepts the connection of the client. Fails if the client does not connect in time.
fn accept(listener: &TcpListener) -> anyhow::Result<TcpStream> {
    let timeout = PollTimeout::try_from(TIMEOUT)?;
    if poll(
        &mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)],
        timeout,
    )? == 0
    {
        bail!("the client does not connect");
    }
    let (connection, _) = listener.accept()?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    Ok(connection)
}

fn flood(listener: &TcpListener, block: &[u8], blocks: usize) -> anyhow::Result<()> {
    let mut connection = accept(listener)?;
    for _ in 0..blocks {
        connection.write_all(block)?;
    }
    connection.shutdown(Shutdown::Write)?;
    Ok(())
}

fn discard(listener: &TcpListener, size: usize) -> anyhow::Result<()> {
    let mut connection = accept(listener)?;
    let mut scrap = vec![0; 256 * 1024];
    let mut got = 0;
    loop {
        match connection.read(&mut scrap)? {
            0 if got == size => return Ok(()),
            0 => bail!("received {got} bytes instead of {size}"),
            n => got += n,
        }
    }
}
