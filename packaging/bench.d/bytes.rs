//! Bytes a second through command line clients, in each direction, the other one silent.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::tools::{Dice, Named, TIMEOUT, cpu_of_children, named, percentile};

/// A line; what is sent is made of them.
const LINE: &[u8] = b"The quick brown fox jumps over the lazy dog, and runs on to the river.\n";

#[derive(Debug, Args)]
pub struct Options {
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How much is moved each time
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    size: usize,
    /// Commands that connect to the port that takes the place of PORT; a space between words
    #[arg(value_name = "NAME=COMMAND", value_parser = named, required = true)]
    clients: Vec<Named>,
}

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToNull,
    ToCat,
    FromPipe,
}

const WAYS: [(Way, &str); 3] = [
    (Way::ToNull, "server to client, into /dev/null"),
    (Way::ToCat, "server to client, into a pipe to cat"),
    (Way::FromPipe, "client to server, lines from a pipe"),
];

pub fn run(options: &Options) -> anyhow::Result<()> {
    // Whole lines.
    let block = LINE.repeat(1000);
    let blocks = (options.size << 20) / block.len();
    let size = blocks * block.len();
    println!(
        "\nbytes through a client at the command line, {} MiB at a time, median of {}\n",
        options.size, options.rounds
    );
    println!("{:<38} {:<18} {:>8} {:>12}", "", "", "MB/s", "CPU s/GB");
    for (way, what) in WAYS {
        let mut times = vec![Vec::new(); options.clients.len()];
        let mut cpus = times.clone();
        let mut dice = Dice(1);
        for round in 0..=options.rounds {
            for index in dice.order(options.clients.len()) {
                let client = &options.clients[index];
                let (time, cpu) = once(client, way, &block, blocks)
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

/// From the start of the client to its end, and the processor time of it (and of cat).
fn once(
    client: &Named,
    way: Way,
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
    // Nothing is typed before the server is done. Some take the end of their input for the end of it all, others want
    // to see it.
    command.stdin(Stdio::piped());
    command.stdout(match way {
        Way::ToCat => Stdio::piped(),
        Way::ToNull | Way::FromPipe => Stdio::null(),
    });
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", client.value))?;
    let input = child.stdin.take();
    let cat = child.stdout.take().map(cat).transpose()?;
    let served = thread::scope(|scope| {
        let server = scope.spawn(|| match way {
            Way::ToNull | Way::ToCat => flood(&listener, block, blocks),
            Way::FromPipe => discard(&listener, block.len() * blocks),
        });
        let mut input = input.context("the client has no input")?;
        if way == Way::FromPipe {
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
        // It may wait for ever for what does not come.
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
        bail!("the client ended with {status}");
    }
    Ok(())
}

/// The client's connection; a client that has failed is not waited for for ever.
fn accept(listener: &TcpListener) -> anyhow::Result<TcpStream> {
    let timeout = PollTimeout::try_from(TIMEOUT)?;
    if poll(
        &mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)],
        timeout,
    )? == 0
    {
        bail!("it does not connect");
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
            0 => bail!("{got} bytes came instead of {size}"),
            n => got += n,
        }
    }
}
