//! `sockunit status`: the connections of now.

use std::net::SocketAddr;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::place::place;
use super::table::{Align, Row, table, texts, wrapped};
use super::{failed, say, say_json, unknown};
use crate::attach::{self, Connection, Kind, Penalised, Remote, Status};
use crate::clock;
use crate::systemd::Manager;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Name of the service [default: every service that was attached or imported, or that the package
    /// ships, one line each]
    name: Option<String>,
    /// Ask the service manager of the calling user
    #[arg(long)]
    user: bool,
    /// Print a JSON array, or with a name one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let place = place("/", options.user);
    let failed = failed("cannot show the status");
    let Some(manager) = Manager::of(&place) else {
        return Err(failed(attach::Error::no_manager(place.scope)));
    };
    let Some(name) = &options.name else {
        let own = attach::own(&place).map_err(|error| failed(error.into()))?;
        let names: Vec<String> = own.iter().map(|(name, _)| name.to_string()).collect();
        let all = attach::status(&place, &manager, &names).map_err(&failed)?;
        return match options.json {
            true => say_json(&all.iter().map(|status| json!(object(status))).collect()),
            false => say(&totals(&all)),
        };
    };
    let name = name.strip_suffix(".socket").unwrap_or(name);
    let all = attach::status(&place, &manager, &[name.into()]).map_err(&failed)?;
    let Some(status) = all.first() else {
        return Err(unknown("cannot show the status", &place, name));
    };
    let penalties = match status.kind {
        Kind::Shared => {
            let unit = format!("{}.service", status.name);
            attach::penalties(&place, &manager, &unit).map_err(failed)?
        }
        Kind::PerConnection => None,
    };
    match options.json {
        true => {
            let mut object = object(status);
            let penalties = penalties.map(|all| all.iter().map(penalty_object).collect::<Vec<_>>());
            object.insert("penalties".into(), json!(penalties));
            let open: Vec<Value> = status.open.iter().map(connection_object).collect();
            object.insert("open".into(), open.into());
            say_json(&object.into())
        }
        false => say(&details(status, &penalties.unwrap_or_default())),
    }
}

fn object(status: &Status) -> serde_json::Map<String, Value> {
    let object = json!({
        "name": status.name,
        "kind": status.kind.to_string(),
        "state": status.state,
        "since": status.since.map(|since| since.to_string()),
        "listen": texts(&status.listen),
        "connections": status.now,
        "accepted": status.totals.map(|totals| totals.accepted),
        "refused": status.totals.map(|totals| totals.refused),
    });
    match object {
        Value::Object(object) => object,
        _ => serde_json::Map::new(),
    }
}

fn penalty_object(penalty: &Penalised) -> Value {
    json!({"source": penalty.source, "until": penalty.until.to_string()})
}

fn connection_object(connection: &Connection) -> Value {
    let tcp =
        |address: SocketAddr| json!({"address": address.ip().to_string(), "port": address.port()});
    json!({
        "peer": match connection.remote {
            Remote::Tcp(address) => tcp(address),
            Remote::Unix { uid, pid } => json!({"uid": uid, "pid": pid}),
        },
        "client": connection.client.map(tcp),
        "since": connection.since.map(|since| since.to_string()),
        "pid": connection.pid,
        "unit": connection.unit,
        "received": connection.traffic.map(|traffic| traffic.received),
        "sent": connection.traffic.map(|traffic| traffic.sent),
    })
}

fn totals(all: &[Status]) -> String {
    let zone = clock::local_zone();
    let local = |time| local(time, &zone);
    let rows: Vec<Row<6>> = all
        .iter()
        .map(|status| Row {
            cells: [
                status.name.clone(),
                status.state.clone(),
                status.now.to_string(),
                or_dash(status.totals.map(|totals| totals.accepted)),
                or_dash(status.totals.map(|totals| totals.refused)),
                or_dash(status.since.map(local)),
            ],
            lines: Vec::new(),
        })
        .collect();
    let columns = [
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("NOW", Align::Right),
        ("ACCEPTED", Align::Right),
        ("REFUSED", Align::Right),
        ("SINCE", Align::Left),
    ];
    table(columns, &rows)
}

fn details(status: &Status, penalties: &[Penalised]) -> String {
    let zone = clock::local_zone();
    let local = |time| local(time, &zone);
    let mut text = format!("{}: {}\n", status.name, status.state);
    text.extend(
        status
            .since
            .map(|since| wrapped(&format!("since: {}", local(since)))),
    );
    text += &wrapped(&format!("listens: {}", texts(&status.listen).join(" ")));
    let mut counts = format!("{} now", status.now);
    if let Some(totals) = status.totals {
        let attach::Totals { accepted, refused } = totals;
        counts += &format!(", {accepted} accepted, {refused} refused at a limit");
    }
    text += &wrapped(&format!("connections: {counts}"));
    for Penalised { source, until } in penalties {
        text += &wrapped(&format!(
            "penalty: {source} is refused until {}",
            local(*until)
        ));
    }
    if status.open.is_empty() {
        return text;
    }
    let rows: Vec<Row<5>> = status
        .open
        .iter()
        .map(|connection| Row {
            cells: [
                match connection.client {
                    Some(client) => client.to_string(),
                    None => peer(connection.remote),
                },
                or_dash(connection.since.map(local)),
                or_dash(connection.pid),
                or_dash(connection.traffic.map(|traffic| traffic.received)),
                or_dash(connection.traffic.map(|traffic| traffic.sent)),
            ],
            lines: below(connection),
        })
        .collect();
    let columns = [
        ("PEER", Align::Left),
        ("SINCE", Align::Left),
        ("PID", Align::Right),
        ("RECEIVED", Align::Right),
        ("SENT", Align::Right),
    ];
    text += &format!("\n{}", table(columns, &rows));
    if status
        .open
        .iter()
        .any(|connection| connection.pid.is_none())
    {
        text += "\nThe processes of some connections are not visible to your user; use sudo.\n";
    }
    text
}

/// The lines below the row of a connection: its proxy, and its unit if it has one of its own.
fn below(connection: &Connection) -> Vec<String> {
    let proxy = connection
        .client
        .map(|_| format!("through {}", peer(connection.remote)));
    let unit = connection.unit.iter().filter(|unit| unit.contains('@'));
    proxy.into_iter().chain(unit.cloned()).collect()
}

fn peer(remote: Remote) -> String {
    match remote {
        Remote::Tcp(address) => address.to_string(),
        Remote::Unix { uid, pid } => format!("uid {} pid {}", or_dash(uid), or_dash(pid)),
    }
}

fn local(time: Timestamp, zone: &TimeZone) -> String {
    let time = time.to_zoned(zone.clone());
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}
