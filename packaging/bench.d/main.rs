//! The clients of packaging/bench. They run in the machine that is measured, in its network, and outside of its cgroup.
//!
//! What takes turns does so in a new order every round, so that whatever else the machine does hits all alike.

#![forbid(unsafe_code)]

mod bytes;
mod chart;
mod hello;
mod memory;
mod programs;
mod start;
mod talk;
mod talker;
mod tools;

use std::process::ExitCode;

use clap::Parser;

/// The clients of packaging/bench.
#[derive(Debug, Parser)]
enum Command {
    /// Connections to hello services: how many a second, how long each, what they cost the server
    Hello(hello::Options),
    /// Many celebs conversations in one process
    Memory(memory::Options),
    /// The memory of a process that starts a program for each connection
    Programs(programs::Options),
    /// What it costs to start programs
    Start(start::Options),
    /// Bytes through command line clients
    Bytes(bytes::Options),
    /// Conversations with celebs through command line clients
    Talk(talk::Options),
    /// Draws what `hello --data` has written, from standard input, as SVG on standard output
    Chart,
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Hello(options) => hello::run(&options),
        Command::Memory(options) => memory::run(&options),
        Command::Programs(options) => programs::run(&options),
        Command::Start(options) => start::run(&options),
        Command::Bytes(options) => bytes::run(&options),
        Command::Talk(options) => talk::run(&options),
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
