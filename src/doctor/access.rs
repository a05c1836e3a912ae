//! Rules of the service itself about which clients may connect.

use std::net::IpAddr;
use std::str::FromStr;

use super::report::Impact;
use super::subject::Subject;
use super::{Problem, Report};
use crate::connect::DialError;
use crate::connection::Peer;
use crate::server::{Network, ProxyOptions, ProxySource};
use crate::systemd::command_lines;

/// Why there is no connection from this machine, whose address is `own`.
pub(super) fn unreachable(
    subject: &Subject<'_>,
    own: Option<IpAddr>,
    error: &DialError,
) -> Problem {
    if error.is_denied() {
        return Problem::unchecked(error.to_string(), "run this as root");
    }
    let Some(ip) = own.filter(|ip| is_denied(subject, *ip)) else {
        return Problem::new(
            error.to_string(),
            "see whether a packet filter drops the connection: nft list ruleset",
        );
    };
    let unit = &subject.socket.name;
    let lines = lines(subject);
    let everybody = if ip.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
    let denied = subject.loaded.get("IPAddressDeny").split_whitespace();
    let allowed = subject.loaded.get("IPAddressAllow");
    if denied.into_iter().any(|network| network == everybody) && allowed.is_empty() {
        return Problem::new(
            format!("{unit} accepts no client: its IPAddressDeny= denies all, and there is no IPAddressAllow="),
            "name the clients in IPAddressAllow=, or remove the lines",
        )
        .evidence(lines)
        .explanation("The kernel drops the packets of denied addresses.")
        .impact(Impact::Timeout);
    }
    Problem::unchecked(
        format!(
            "{unit} denies {ip}, and doctor cannot connect as a client: {}",
            lines.join("; ")
        ),
        "connect from an address that it allows",
    )
}

/// Notes that the unit's rules have no effect here: it denies this machine, and the connection was
/// accepted.
pub(super) fn without_effect(subject: &Subject<'_>, own: Option<IpAddr>, report: &mut Report<'_>) {
    if let Some(ip) = own.filter(|ip| is_denied(subject, *ip)) {
        report.note(format!(
            "{} denies {ip}, and that address was accepted: this system does not apply IPAddressDeny=, which needs \
             cgroup BPF ({})",
            subject.socket.name,
            lines(subject).join("; ")
        ));
    }
}

/// Checks that the rules of `sockunit serve` allow this machine, whose address is `own`.
///
/// # Errors
///
/// They do not: the connection shows nothing about others.
pub(super) fn refused(subject: &Subject<'_>, own: Option<IpAddr>) -> Result<(), Problem> {
    let (Some(ip), Some(options)) = (own, serve_options(subject)) else {
        return Ok(());
    };
    let (allow, deny): (Vec<Network>, Vec<Network>) =
        (values(&options, "--allow"), values(&options, "--deny"));
    let has = |list: &[Network]| list.iter().any(|network| network.contains(ip));
    if !has(&deny) && (allow.is_empty() || has(&allow)) {
        return Ok(());
    }
    Err(Problem::unchecked(
        format!(
            "{} refuses {ip}, and doctor cannot connect as a client: {}",
            subject.service.name,
            subject.command()
        ),
        "connect from an address that --allow and --deny allow",
    ))
}

/// What the service demands of a peer like this one, if that is the header of a proxy.
///
/// # Errors
///
/// It accepts connections from proxies only, and this machine is none.
pub(super) fn proxy_header(subject: &Subject<'_>, peer: Peer) -> Result<Option<String>, Problem> {
    let options = serve_options(subject).unwrap_or_default();
    let proxy = ProxyOptions {
        accept_proxy: values(&options, "--accept-proxy"),
        ..ProxyOptions::default()
    };
    let sources = proxy.accept_proxy.iter().map(|source| match source {
        ProxySource::Network(network) => network.to_string(),
        ProxySource::Unix => "AF_UNIX sockets".into(),
    });
    let demand = format!(
        "{} accepts connections only from {}, with a header of the PROXY protocol",
        subject.service.name,
        sources.collect::<Vec<_>>().join(", ")
    );
    let own = match peer {
        Peer::Tcp(address) => address.ip().to_string(),
        _ => "an AF_UNIX socket".into(),
    };
    match proxy.expects_header(peer) {
        Ok(false) => Ok(None),
        Ok(true) => Ok(Some(format!(
            "{demand}; doctor connects from {own} and sends one that names no client"
        ))),
        Err(_) => Err(Problem::unchecked(
            format!(
                "{demand}, and refuses doctor, which connects from {own}: {}",
                subject.command()
            ),
            "connect through the proxy",
        )),
    }
}

/// The values of an option.
fn values<T: FromStr>(options: &[String], name: &str) -> Vec<T> {
    let values = options.windows(2).filter_map(|pair| {
        let joined = pair[1].strip_prefix(name);
        let joined = joined.and_then(|end| end.strip_prefix('='));
        joined.or_else(|| (pair[0] == name).then_some(pair[1].as_str()))
    });
    values.filter_map(|value| value.parse().ok()).collect()
}

/// The words of `sockunit serve` before the program that it starts.
fn serve_options(subject: &Subject<'_>) -> Option<Vec<String>> {
    if !subject.serves_by_tool() && !subject.is_shipped() {
        return None;
    }
    let line = subject.service.value("Service", "ExecStart")?;
    let commands = command_lines(line.text).ok()?;
    let mut words = commands.first()?.argv();
    // hello and celebs have no program.
    let end = words.iter().position(|word| word == "--");
    words.truncate(end.unwrap_or(words.len()));
    Some(words)
}

/// Whether the socket unit denies an address. What is allowed wins over what is denied.
fn is_denied(subject: &Subject<'_>, ip: IpAddr) -> bool {
    let has = |key: &str| {
        let networks = subject.loaded.get(key).split_whitespace();
        let mut networks = networks.filter_map(|network| network.parse::<Network>().ok());
        networks.any(|network| network.contains(ip))
    };
    has("IPAddressDeny") && !has("IPAddressAllow")
}

/// The lines with the rules, each with its place.
fn lines(subject: &Subject<'_>) -> Vec<String> {
    let rules = subject.socket.section("Socket");
    let rules = rules.filter(|(key, _)| ["IPAddressAllow", "IPAddressDeny"].contains(key));
    rules
        .map(|(key, value)| {
            format!(
                "{}:{}: {key}={}",
                value.path.display(),
                value.line,
                value.text
            )
        })
        .collect()
}
