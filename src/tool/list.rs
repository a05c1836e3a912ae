//! `sockunit list`: what is attached.

use clap::Args;
use serde_json::json;

use super::place::PlaceOptions;
use super::say;
use crate::attach::{self, Listed};

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    place: PlaceOptions,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let listed = attach::list(&options.place.place())?;
    if options.json {
        let list: Vec<_> = listed.iter().map(object).collect();
        return say(&format!("{}\n", json!(list)));
    }
    say(&table(&listed))
}

fn object(listed: &Listed) -> serde_json::Value {
    json!({
        "name": listed.name,
        "listen": listed.listen,
        "kind": listed.kind.to_string(),
        "sandbox": listed.sandbox,
        "boot": listed.enablement.to_string(),
        "state": listed.state,
        "connections": listed.connections,
        "program": listed.program,
    })
}

fn table(listed: &[Listed]) -> String {
    let heads = [
        "NAME", "LISTENS", "KIND", "SANDBOX", "BOOT", "STATE", "NOW", "PROGRAM",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    let missing = || "-".to_owned();
    rows.extend(listed.iter().map(|listed| {
        [
            listed.name.clone(),
            listed.listen.join(","),
            listed.kind.to_string(),
            listed.sandbox.clone().unwrap_or_else(missing),
            listed.enablement.to_string(),
            listed.state.clone().unwrap_or_else(missing),
            listed.connections.map_or_else(missing, |n| n.to_string()),
            listed.program.clone(),
        ]
    }));
    let widths: [usize; 8] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text += line.join("  ").trim_end();
        text.push('\n');
    }
    text
}
