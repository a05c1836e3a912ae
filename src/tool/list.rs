//! `sockunit list`: what is attached.

use std::io::{self, IsTerminal};

use clap::Args;
use serde_json::json;

use super::place::PlaceOptions;
use super::{say, say_json, with_hint};
use crate::attach::{self, Listed};
use crate::log::Plain;

/// The number of columns that a line may have on a terminal.
const TERMINAL_WIDTH: usize = 80;

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    place: PlaceOptions,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let listed = attach::list(&options.place.place()).map_err(|error| {
        let hint = error.hint();
        with_hint(format!("cannot list services: {error}"), hint)
    })?;
    if options.json {
        let list: Vec<_> = listed.iter().map(object).collect();
        return say_json(&json!(list));
    }
    say(&table(&listed))
}

fn object(listed: &Listed) -> serde_json::Value {
    json!({
        "name": listed.name,
        "listen": listed.listen,
        "kind": listed.kind.to_string(),
        "sandbox": listed.sandbox,
        "enabled": listed.enablement.to_string(),
        "state": listed.state,
        "connections": listed.connections,
        "program": listed.program,
    })
}

/// A table that fits the width of a terminal: its last column is cut.
fn table(listed: &[Listed]) -> String {
    let heads = [
        "NAME", "LISTENS", "KIND", "SANDBOX", "ENABLED", "STATE", "NOW", "PROGRAM",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    let unknown = || "-".to_owned();
    rows.extend(listed.iter().map(|listed| {
        let row = [
            listed.name.clone(),
            listed.listen.join(","),
            listed.kind.to_string(),
            listed.sandbox.clone().unwrap_or_else(unknown),
            listed.enablement.to_string(),
            listed.state.clone().unwrap_or_else(unknown),
            listed.connections.map_or_else(unknown, |n| n.to_string()),
            listed.program.clone(),
        ];
        // Units and programs may have any text.
        row.map(|cell| Plain(&cell).to_string())
    }));
    let width = |cell: &String| cell.chars().count();
    let widths: [usize; 8] = std::array::from_fn(|column| {
        rows.iter()
            .map(|row| width(&row[column]))
            .max()
            .unwrap_or(0)
    });
    let limit = if io::stdout().is_terminal() {
        TERMINAL_WIDTH
    } else {
        usize::MAX
    };
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let line: String = line.join("  ").chars().take(limit).collect();
        text += line.trim_end();
        text.push('\n');
    }
    text
}
