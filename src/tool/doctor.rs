//! `sockunit doctor`: why does a service not work?

use clap::Args;
use serde_json::{Value, json};

use super::place::PlaceOptions;
use super::say;
use crate::attach;
use crate::doctor::{self, Asked, Said};
use crate::systemd::Place;

#[derive(Debug, Args)]
pub struct Options {
    /// Name of the service or of one of its units [default: every service that sockunit added or
    /// ships]
    name: Option<String>,
    #[command(flatten)]
    place: PlaceOptions,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Whether every service works, as far as can be told.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let place = options.place.place();
    let (names, asked) = match &options.name {
        Some(name) => (vec![name.clone()], Asked::ByName),
        None => {
            let own = attach::own(&place)?;
            let names = own.iter().map(|(name, _)| name.to_string()).collect();
            (names, Asked::Among)
        }
    };
    if options.json {
        return for_programs(&place, &names, asked);
    }
    let mut well = true;
    for (index, name) in names.iter().enumerate() {
        if names.len() > 1 {
            let gap = if index > 0 { "\n" } else { "" };
            say(&format!("{gap}{name}\n"))?;
        }
        let mut told = Ok(());
        well &= doctor::examine(&place, name, asked, &mut |said| {
            if told.is_ok() {
                told = say(&format!("{said}\n"));
            }
        });
        told?;
    }
    if names.is_empty() {
        say("there is no service of sockunit's here; name one: sockunit doctor NAME\n")?;
    }
    Ok(well)
}

fn for_programs(place: &Place, names: &[String], asked: Asked) -> anyhow::Result<bool> {
    let mut well = true;
    let mut services = Vec::new();
    for name in names {
        let mut checks: Vec<Value> = Vec::new();
        let works = doctor::examine(place, name, asked, &mut |said: &Said| {
            checks.push(doctor::json(said))
        });
        well &= works;
        services.push(json!({"name": doctor::name_of(name), "works": works, "checks": checks}));
    }
    say(&format!(
        "{}\n",
        json!({"works": well, "services": services})
    ))?;
    Ok(well)
}
