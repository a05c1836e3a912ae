//! `sockunit check`: finds conflicts of a name and a port.

use std::num::NonZeroU16;

use clap::Args;
use serde_json::json;

use super::place::PlaceOptions;
use crate::attach::Kind;
use crate::conflicts::{self, Finding, Requested};
use crate::services::ServiceName;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Name of the service
    name: ServiceName,
    /// TCP port
    #[arg(value_parser = super::port)]
    port: NonZeroU16,
    /// Check for a shared service (add --shared), which has other units
    #[arg(long)]
    shared: bool,
    #[command(flatten)]
    place: PlaceOptions,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Returns whether the name and the port are free.
pub(super) fn run(options: &Options) -> anyhow::Result<bool> {
    let Options { name, port, .. } = options;
    let kind = match options.shared {
        true => Kind::Shared,
        false => Kind::PerConnection,
    };
    let units = kind.units(name);
    let address = Requested::Port(port.get());
    let findings = conflicts::find(&options.place.place(), name, address, &units);
    let conflicts = || findings.iter().filter(|finding| finding.is_conflict());
    let name_taken = conflicts().any(|finding| finding.claim.name.is_some());
    let port_taken = conflicts().any(|finding| finding.claim.port.is_some());
    if options.json {
        let findings: Vec<_> = findings.iter().map(conflicts::json).collect();
        let object = json!({
            "name": name.to_string(),
            "port": port.get(),
            "name_taken": name_taken,
            "port_taken": port_taken,
            "findings": findings,
        });
        super::say_json(&object)?;
    } else {
        let mut text: String = findings
            .iter()
            .map(|f: &Finding| format!("{f}\n"))
            .collect();
        text += &match (name_taken, port_taken) {
            (false, false) => format!("free: the name {name} and the port {port}\n"),
            (true, true) => format!("taken: the name {name} and the port {port}\n"),
            (true, false) => format!("taken: the name {name}; the port {port} is free\n"),
            (false, true) => format!("taken: the port {port}; the name {name} is free\n"),
        };
        super::say(&text)?;
    }
    Ok(!name_taken && !port_taken)
}
