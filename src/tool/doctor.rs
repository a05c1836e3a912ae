//! `sockunit doctor`: why does a service not work?

use clap::Args;
use serde_json::{Value, json};

use super::place::PlaceOptions;
use super::{say, say_json};
use crate::attach;
use crate::doctor::{self, CheckResult, Selection};
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

/// Returns whether no problem was found.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let place = options.place.place();
    let (names, selection) = match &options.name {
        Some(name) => (vec![name.clone()], Selection::Named),
        None => {
            let own = attach::own(&place)?;
            let names = own.iter().map(|(name, _)| name.to_string()).collect();
            (names, Selection::All)
        }
    };
    if options.json {
        return as_json(&place, &names, selection);
    }
    let mut works = true;
    for (index, name) in names.iter().enumerate() {
        if names.len() > 1 {
            let gap = if index > 0 { "\n" } else { "" };
            say(&format!("{gap}{name}\n"))?;
        }
        let mut written = Ok(());
        works &= doctor::examine(&place, name, selection, &mut |result| {
            if written.is_ok() {
                written = say(&format!("{result}\n"));
            }
        });
        written?;
    }
    if names.is_empty() {
        say("no service of sockunit is installed here; name another: sockunit doctor NAME\n")?;
    }
    Ok(works)
}

fn as_json(place: &Place, names: &[String], selection: Selection) -> anyhow::Result<bool> {
    let mut works = true;
    let mut services = Vec::new();
    for name in names {
        let mut checks: Vec<Value> = Vec::new();
        let service_works = doctor::examine(place, name, selection, &mut |result: &CheckResult| {
            checks.push(doctor::json(result))
        });
        works &= service_works;
        services
            .push(json!({"name": doctor::name_of(name), "works": service_works, "checks": checks}));
    }
    say_json(&json!({"works": works, "services": services}))?;
    Ok(works)
}
