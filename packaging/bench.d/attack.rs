//! Attacks on a service that speaks as celebs does: what was lost, and how long a client of another source waited.

use std::net::SocketAddrV4;

use anyhow::Context;
use clap::Args;

use crate::attacker::{Attack, Outcome, attack};
use crate::tools::{Named, allow_descriptors, millis, named};

#[derive(Debug, Args)]
pub struct Options {
    /// Connections of each flood
    #[arg(long, default_value_t = 20_000)]
    flood: usize,
    /// Connections that are open at once, of each kind
    #[arg(long, default_value_t = 5_000)]
    slow: usize,
    /// A service as NAME=ADDRESS:PORT
    #[arg(value_name = "NAME=ADDRESS:PORT", value_parser = named)]
    server: Named,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    allow_descriptors(options.slow + 1_000)?;
    let address: SocketAddrV4 = options.server.value.parse().context("the server")?;
    println!("\n{}\n", options.server.name);
    println!(
        "| what the clients do | connections | sources | lost | other clients | lost | slowest, ms | next, ms |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for kind in Attack::ALL {
        for clients in [1, 4] {
            let count = if kind.holds() {
                options.slow
            } else {
                options.flood
            };
            let Outcome {
                connections,
                lost,
                others,
                others_lost,
                slowest,
                next,
            } = attack(kind, address, count, clients);
            println!(
                "| {} | {connections} | {clients} | {lost} | {others} | {others_lost} | {:.0} | {:.0} |",
                kind.name(),
                millis(slowest),
                millis(next)
            );
        }
    }
    Ok(())
}
