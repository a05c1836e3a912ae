//! The limits on connections, and which clients have reached them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::report::Impact;
use super::subject::Subject;
use super::{Problem, Report};
use crate::connection::table;

/// Checks that systemd accepts another connection.
///
/// # Errors
///
/// A limit is reached, and systemd closes new connections at once.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report<'_>) -> Result<(), Problem> {
    if subject.manager.is_none() || !subject.accept {
        return Ok(());
    }
    let unit = &subject.socket.name;
    let number = |key: &str| subject.loaded.get(key).parse::<u64>().ok();
    let (Some(now), Some(most)) = (number("NConnections"), number("MaxConnections")) else {
        return Ok(());
    };
    let stop = subject.fixer().systemctl(&["stop"]).arg(subject.services());
    let refused = number("NRefused").unwrap_or(0);
    let ports = subject.ports();
    let by = sources(&ports);
    let (source, of_source) = by.first().map_or((None, 0), |(ip, n)| (Some(*ip), *n));
    let evidence = source.map(|ip| format!("{of_source} of them are from {ip}"));
    if now >= most {
        let problem = Problem::new(
            format!(
                "{unit} has reached its concurrency limit: {now} connections (MaxConnections={most})"
            ),
            format!("raise MaxConnections= in a drop-in for {unit}, or end all its connections"),
        );
        return Err(problem
            .evidence(evidence)
            .impact(Impact::Closed)
            .command(stop));
    }
    let each = number("MaxConnectionsPerSource").filter(|each| *each > 0);
    if let (Some(each), Some(ip)) = (each, source) {
        if of_source >= each {
            let problem = Problem::new(
                format!(
                    "{ip} has reached the per-source limit of {unit}: {of_source} connections (MaxConnectionsPerSource={each})"
                ),
                format!(
                    "raise MaxConnectionsPerSource= in a drop-in for {unit}, or end all its connections"
                ),
            );
            return Err(problem.impact(Impact::ClosedForOne).command(stop));
        }
    }
    let refused = match refused {
        0 => String::new(),
        refused => format!(", {refused} refused since systemd loaded it"),
    };
    report.ok(format!("{now} of at most {most} connections{refused}"));
    if let Some(text) = in_time(subject) {
        report.note(text);
    }
    Ok(())
}

/// The rate limit that many connections would meet first, if there is one.
fn in_time(subject: &Subject<'_>) -> Option<String> {
    let unit = &subject.socket.name;
    let limit = |name: &str| {
        let time = subject.loaded.get(&format!("{name}IntervalUSec"));
        let burst = subject.loaded.get(&format!("{name}Burst"));
        let set = |value: &str| !matches!(value, "" | "0" | "infinity");
        (set(time) && set(burst)).then_some((burst, time))
    };
    let lift =
        |name: &str| format!("{name}IntervalSec=0 in a drop-in for {unit} removes the limit");
    // systemd checks it before the other, where it knows it.
    if let Some((burst, time)) = limit("PollLimit") {
        return Some(format!(
            "{unit} accepts at most {burst} connections in {time} (PollLimitBurst={burst}), and others wait in the backlog; {}",
            lift("PollLimit")
        ));
    }
    limit("TriggerLimit").map(|(burst, time)| {
        format!(
            "systemd stops {unit} after {burst} connections in {time} (TriggerLimitBurst={burst}); {}",
            lift("TriggerLimit")
        )
    })
}

/// The remote addresses that are connected to one of the ports, with the number of connections; the
/// largest number first.
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
