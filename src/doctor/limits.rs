//! The limits on connections: reached, and by whom.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::subject::Case;
use super::{Fault, Tell};
use crate::connection::table;

/// Checks that another connection may come.
///
/// # Errors
///
/// A limit is reached, so that systemd closes it at once.
pub fn check(case: &Case<'_>, tell: &mut Tell<'_>) -> Result<(), Fault> {
    if case.manager.is_none() || !case.accept {
        return Ok(());
    }
    let unit = &case.socket.name;
    let number = |key: &str| case.loaded.get(key).parse::<u64>().ok();
    let (Some(now), Some(most)) = (number("NConnections"), number("MaxConnections")) else {
        return Ok(());
    };
    let closed = "A client is connected, and the connection is closed without a byte.";
    let stop = case.systemctl(&format!("stop '{}'", case.services()));
    let refused = number("NRefused").unwrap_or(0);
    let ports = case.ports();
    let by = sources(&ports);
    let (source, of_source) = by.first().map_or((None, 0), |(ip, n)| (Some(*ip), *n));
    let evidence = source.map(|ip| format!("{of_source} of them are from {ip}"));
    if now >= most {
        let fault = Fault::new(
            format!(
                "{unit} has {now} connections, and takes no more than {most} (MaxConnections={most})"
            ),
            format!(
                "end all of them, as this does, or raise MaxConnections= in a drop-in for {unit}"
            ),
        );
        return Err(fault.seen(evidence).means(closed).command(stop));
    }
    let each = number("MaxConnectionsPerSource").filter(|each| *each > 0);
    if let (Some(each), Some(ip)) = (each, source) {
        if of_source >= each {
            let fault = Fault::new(
                format!(
                    "{ip} has {of_source} connections to {unit}, and gets no more than {each} (MaxConnectionsPerSource={each})"
                ),
                format!(
                    "end all of them, as this does, or raise MaxConnectionsPerSource= in a drop-in for {unit}"
                ),
            );
            let from = format!("{closed} Other addresses are served.");
            return Err(fault.means(from).command(stop));
        }
    }
    let refused = match refused {
        0 => String::new(),
        refused => format!("; {refused} were refused since it was started"),
    };
    tell.good(format!("{now} of at most {most} connections now{refused}"));
    if let Some(text) = in_time(case) {
        tell.note(text);
    }
    Ok(())
}

/// What too many connections in too short a time would do, though none of them is refused.
fn in_time(case: &Case<'_>) -> Option<String> {
    let unit = &case.socket.name;
    let limit = |name: &str| {
        let time = case.loaded.get(&format!("{name}IntervalUSec"));
        let burst = case.loaded.get(&format!("{name}Burst"));
        let set = |value: &str| !matches!(value, "" | "0" | "infinity");
        (set(time) && set(burst)).then_some((burst, time))
    };
    let lift = |name: &str| format!("{name}IntervalSec=0 in a drop-in for {unit} lifts that");
    // The first is met first, where systemd knows it.
    if let Some((burst, time)) = limit("PollLimit") {
        return Some(format!(
            "{unit} takes no more than {burst} connections in {time} (PollLimitBurst={burst}), and lets others wait; {}",
            lift("PollLimit")
        ));
    }
    limit("TriggerLimit").map(|(burst, time)| {
        format!(
            "more than {burst} connections in {time} take {unit} down (TriggerLimitBurst={burst}); {}",
            lift("TriggerLimit")
        )
    })
}

/// The addresses that have connections to a port of this machine, and how many; the one with most
/// first.
fn sources(ports: &[u16]) -> Vec<(IpAddr, u64)> {
    let mut sources: BTreeMap<IpAddr, u64> = BTreeMap::new();
    let rows = table::read().unwrap_or_default();
    for row in rows
        .iter()
        .filter(|row| row.is_open() && ports.contains(&row.local.port()))
    {
        *sources.entry(row.remote.ip().to_canonical()).or_default() += 1;
    }
    let mut sources: Vec<_> = sources.into_iter().collect();
    sources.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sources
}
