//! The processor time of the start of a program that prints one line and exits.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use crate::tools::{Named, Rng, cpu_of_children, millis, named, percentile};

#[derive(Debug, Args)]
pub struct Options {
    /// Start each program this many times
    #[arg(long, default_value_t = 400)]
    runs: usize,
    /// Commands; the others are compared with the first
    #[arg(value_name = "NAME=COMMAND", value_parser = named, required = true)]
    programs: Vec<Named>,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let programs = &options.programs;
    let mut spent = vec![Vec::new(); programs.len()];
    let mut took = spent.clone();
    let mut rng = Rng(1);
    // The first round does not count: it reads the programs from disk.
    for round in 0..=options.runs {
        for index in rng.order(programs.len()) {
            let (cpu, time) = once(&programs[index])?;
            if round > 0 {
                spent[index].push(cpu);
                took[index].push(time);
            }
        }
    }
    println!(
        "\nhello at the command line, output to /dev/null, {} runs each; user and system time relative to \"{}\"\n",
        options.runs, programs[0].name
    );
    println!("{:<30} {:>8} {:>7} {:>12}", "", "CPU ms", "x", "elapsed ms");
    let base = percentile(&spent[0], 50);
    for ((program, cpu), time) in programs.iter().zip(&spent).zip(&took) {
        let median = percentile(cpu, 50);
        println!(
            "{:<30} {:>8.3} {:>7.2} {:>12.3}",
            program.name,
            millis(median),
            median.as_secs_f64() / base.as_secs_f64(),
            millis(percentile(time, 50)),
        );
    }
    Ok(())
}

/// Runs a program; returns the processor time of it and its children, and the elapsed time.
fn once(program: &Named) -> anyhow::Result<(Duration, Duration)> {
    let before = cpu_of_children()?;
    let start = Instant::now();
    let status = program
        .command()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", program.value))?;
    let time = start.elapsed();
    if !status.success() {
        bail!("{}: {status}", program.value);
    }
    Ok((cpu_of_children()? - before, time))
}
