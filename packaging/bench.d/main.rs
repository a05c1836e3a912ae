//! The clients of packaging/bench and packaging/cluster. They run in the measured machine and its network, but outside of its cgroup.
//!
//! Each round measures in a new order, so that other load of the machine affects all measurements alike.

#![forbid(unsafe_code)]

mod attack;
#[path = "../../tests/support/attack.rs"]
mod attacker;
mod bytes;
mod chart;
mod conversations;
mod hello;
mod memory;
mod programs;
mod session;
mod sessions;
mod start;
mod tools;

use std::process::ExitCode;

use clap::Parser;

/// The clients of packaging/bench and packaging/cluster.
#[derive(Debug, Parser)]
enum Command {
    /// Measures connections to hello: per second, time of each, processor time of the server
    Hello(hello::Options),
    /// Measures the memory of a celebs process with many sessions
    Memory(memory::Options),
    /// Measures the memory of a process that starts a program for each connection
    Programs(programs::Options),
    /// Measures the processor time of program starts
    Start(start::Options),
    /// Measures bytes per second through command line clients
    Bytes(bytes::Options),
    /// Measures celebs sessions through command line clients
    Sessions(sessions::Options),
    /// Attacks a service, and measures what other clients notice
    Attack(attack::Options),
    /// Holds sessions with a service while its servers are upgraded or killed
    Conversations(conversations::Options),
    /// Reads the file that `hello --data` wrote from standard input, and prints an SVG chart
    Chart,
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Hello(options) => hello::run(&options),
        Command::Memory(options) => memory::run(&options),
        Command::Programs(options) => programs::run(&options),
        Command::Start(options) => start::run(&options),
        Command::Bytes(options) => bytes::run(&options),
        Command::Sessions(options) => sessions::run(&options),
        Command::Attack(options) => attack::run(&options),
        Command::Conversations(options) => conversations::run(&options),
        Command::Chart => chart::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
