//! What it costs to start a program that says one line and ends.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use crate::tools::{Dice, Named, cpu_of_children, millis, named, percentile};

#[derive(Debug, Args)]
pub struct Options {
    /// How often each is started
    #[arg(long, default_value_t = 400)]
    runs: usize,
    /// The first is what the others are compared with
    #[arg(value_name = "NAME=COMMAND", value_parser = named, required = true)]
    programs: Vec<Named>,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let programs = &options.programs;
    let mut spent = vec![Vec::new(); programs.len()];
    let mut took = spent.clone();
    let mut dice = Dice(1);
    // The first round is not counted: it reads the programs from the disk.
    for round in 0..=options.runs {
        for index in dice.order(programs.len()) {
            let (cpu, time) = once(&programs[index])?;
            if round > 0 {
                spent[index].push(cpu);
                took[index].push(time);
            }
        }
    }
    println!(
        "\nhello at the command line, output to /dev/null, {} runs each; user and system time against \"{}\"\n",
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

/// Starts it and waits for its end: its processor time with that of its children, and how long it took.
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
