//! `sockunit list`: what is attached.

use clap::Args;
use serde_json::json;

use super::place::PlaceOptions;
use super::table::{Align, Row, table, texts};
use super::{failed, say, say_json};
use crate::attach::{self, Listed};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    place: PlaceOptions,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let listed = attach::list(&options.place.place()).map_err(failed("cannot list services"))?;
    if options.json {
        let list: Vec<_> = listed.iter().map(object).collect();
        return say_json(&json!(list));
    }
    say(&text(&listed))
}

fn object(listed: &Listed) -> serde_json::Value {
    json!({
        "name": listed.name,
        "listen": texts(&listed.listen),
        "kind": listed.kind.to_string(),
        "sandbox": listed.sandbox,
        "enabled": listed.enablement.to_string(),
        "state": listed.state,
        "connections": listed.connections,
        "program": listed.program,
    })
}

fn text(listed: &[Listed]) -> String {
    let unknown = || "-".to_owned();
    let rows: Vec<Row<6>> = listed
        .iter()
        .map(|listed| Row {
            cells: [
                listed.name.clone(),
                listed.kind.to_string(),
                listed.sandbox.clone().unwrap_or_else(unknown),
                listed.enablement.to_string(),
                listed.state.clone().unwrap_or_else(unknown),
                listed.connections.map_or_else(unknown, |n| n.to_string()),
            ],
            lines: vec![
                format!("listens: {}", texts(&listed.listen).join(" ")),
                format!("runs: {}", listed.program),
            ],
        })
        .collect();
    let columns = [
        ("NAME", Align::Left),
        ("KIND", Align::Left),
        ("SANDBOX", Align::Left),
        ("ENABLED", Align::Left),
        ("STATE", Align::Left),
        ("NOW", Align::Right),
    ];
    table(columns, &rows)
}
