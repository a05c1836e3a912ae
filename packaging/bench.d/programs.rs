//! The memory of a process that starts a program for each connection.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, anyhow};
use clap::Args;

use crate::hello::connection;
use crate::tools::{TIMEOUT, allow_descriptors, pss};

/// The number of clients that open short connections.
const CLIENTS: usize = 8;

#[derive(Debug, Args)]
pub struct Options {
    /// The process ID of the service that runs hello
    #[arg(long)]
    pid: u32,
    /// The process ID of the service that runs an echo
    #[arg(long)]
    held_pid: u32,
    /// Measure the memory after these numbers of short connections
    #[arg(long, num_args = 1.., default_values_t = [1_000, 100_000, 1_000_000])]
    short: Vec<usize>,
    /// Open this many connections at once
    #[arg(long, default_value_t = 1_000)]
    held: usize,
    /// The address of hello
    #[arg(value_name = "HELLO:PORT")]
    hello: SocketAddrV4,
    /// The address of the echo
    #[arg(value_name = "ECHO:PORT")]
    echo: SocketAddrV4,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    println!(
        "\nsockunit serve: memory of the process, without its programs and the memory of the kernel\n"
    );
    let mut done = 0;
    for &count in &options.short {
        let begun = Instant::now();
        short(options.hello, count - done)?;
        println!(
            "after {count} short connections: {} KiB ({:.0} s)",
            pss(options.pid)?,
            begun.elapsed().as_secs_f64()
        );
        done = count;
    }
    allow_descriptors(options.held + 100)?;
    // Memory that the allocator keeps after the first connections does not count.
    drop(held(options.echo, 10)?);
    let empty = pss(options.held_pid)?;
    let open = held(options.echo, options.held)?;
    let full = pss(options.held_pid)?;
    println!(
        "with {} open connections: {full} KiB, {:.2} KiB per connection (goal: at most 4); without: {empty} KiB",
        options.held,
        full.saturating_sub(empty) as f64 / options.held as f64
    );
    drop(open);
    Ok(())
}

fn short(server: SocketAddrV4, count: usize) -> anyhow::Result<()> {
    let begun = AtomicUsize::new(0);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    while begun.fetch_add(1, Ordering::Relaxed) < count {
                        connection(server, b"")?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        Ok(())
    })
}

/// Opens connections, and waits until the program of each echoes a byte.
fn held(server: SocketAddrV4, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    (0..count)
        .map(|number| {
            let mut client = TcpStream::connect(server)?;
            client.set_read_timeout(Some(TIMEOUT))?;
            client.write_all(b"x")?;
            client
                .read_exact(&mut [0])
                .with_context(|| format!("connection {number}"))?;
            Ok(client)
        })
        .collect()
}
