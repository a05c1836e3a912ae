//! The units of an imported service.

use std::num::{NonZeroU16, NonZeroU32};

use crate::attach::{
    self, Attachment, Imported, Kind, Level, Maker, RECORD, RenderedUnit, confinement,
    listen_directives, sign,
};
use crate::server::admission::Rate;
use crate::server::{ConnectionRules, ProxyOptions, SharedLimits};
use crate::services::ServiceName;
use crate::systemd::Scope;
use crate::systemd::quote::exec_word;

/// What systemd sets in a unit with `User=`, and neither xinetd nor inetd does.
pub(super) const OF_USER: [&str; 4] = ["HOME", "LOGNAME", "SHELL", "USER"];

/// What is different about the process that has the listening socket.
pub(super) const LISTENER: &str = "sockunit serve, as the user of the program, which can therefore end it; xinetd and inetd run as root";

/// systemd-socket-proxyd(8).
const PROXY: &str = "/usr/lib/systemd/systemd-socket-proxyd";

/// A service with nothing but what each has.
pub(super) fn plain(
    name: ServiceName,
    port: NonZeroU16,
    (program, arguments): (String, Vec<String>),
) -> Attachment {
    Attachment {
        name,
        port,
        listen: Vec::new(),
        kind: Kind::Shared,
        user: None,
        group: None,
        directory: None,
        state: false,
        environment: Vec::new(),
        services_entry: false,
        level: Level::Off,
        max_connections: UNLIMITED,
        per_source: None,
        proxy: ProxyOptions::default(),
        shared: SharedLimits::default(),
        rules: ConnectionRules::default(),
        program,
        arguments,
        enable: false,
        imported: None,
    }
}

/// The concurrency limit of a service that has none under xinetd.
pub(super) const UNLIMITED: u32 = 10_000;

/// What starts the program of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// `sockunit serve`, for each connection.
    Serve,
    /// `sockunit serve --wait`, with the listening socket as its standard input.
    Waits(Socket),
    /// systemd, with a datagram socket as its standard input: the program of the package that serves
    /// built-in services.
    Datagrams,
    /// Nothing: systemd-socket-proxyd passes connections on to this address.
    Proxy(String),
}

/// The type of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Socket {
    Stream,
    Datagram,
}

/// A service and what starts its program.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) attachment: Attachment,
    pub(super) start: Start,
}

impl Service {
    /// The units: the service unit and the socket unit.
    pub(super) fn units(&self) -> Vec<RenderedUnit> {
        let Service { attachment, start } = self;
        let service = match start {
            Start::Serve => return attach::render_imported(attachment).into(),
            Start::Waits(_) => waits(attachment),
            Start::Datagrams => datagrams(attachment),
            Start::Proxy(address) => proxy(attachment, address),
        };
        let name = &attachment.name;
        let unit = |kind: &str, text: String| RenderedUnit {
            name: format!("{name}.{kind}"),
            text: sign(&text, name, Scope::System, Maker::Import),
        };
        vec![
            unit("service", service),
            unit("socket", socket(attachment, start)),
        ]
    }
}

fn socket(attachment: &Attachment, start: &Start) -> String {
    let Attachment { name, port, .. } = attachment;
    let (protocol, key) = match start {
        Start::Waits(Socket::Datagram) | Start::Datagrams => ("UDP", "ListenDatagram"),
        _ => ("TCP", "ListenStream"),
    };
    let listen = listen_directives(attachment, key);
    let own = own(attachment);
    let mut options: String = own.socket.iter().map(|line| format!("{line}\n")).collect();
    if *start == Start::Datagrams {
        options += "# The program answers nothing that was sent to a broadcast address, even if it has to be started first.\n\
                    PassPacketInfo=yes\n";
    }
    format!(
        "[Unit]
Description={name} on {protocol} port {port}
Documentation=man:sockunit-import(1)
# The socket can be restarted any number of times.
StartLimitIntervalSec=0

[Socket]
{listen}# An address that does not exist yet, or a missing IPv6, must not make the socket fail.
FreeBind=yes
{options}Accept=no
# By default systemd stops the socket after 20 starts of the service in 2 seconds. sockunit-generator removes the other
# default, PollLimitIntervalSec=, which systemd 252 does not know.
TriggerLimitIntervalSec=0

[Install]
WantedBy=sockets.target
"
    )
}

/// A program that gets the listening socket.
fn waits(attachment: &Attachment) -> String {
    let name = &attachment.name;
    let mut options = vec!["--wait".into(), "--name".into(), name.to_string()];
    options.extend(event_options(&attachment.rules, &attachment.shared));
    let command = attach::serve_command(attachment, options);
    let start = format!(
        "# sockunit serve starts the program with the listening socket when something arrives and it does not run.
ExecStart={command}
StandardInput=socket
StandardOutput=socket
# By default, error messages would go to the socket.
StandardError=journal
SyslogIdentifier={name}
# Programs cannot choose the priority of their entries.
SyslogLevelPrefix=no
# systemd sends SIGTERM to sockunit serve alone, which stops the program. Processes that the program leaves go on, as
# before.
KillMode=process
TimeoutStopSec=15s
Restart=on-failure
# Without a pause, what made it fail would do so again and again.
RestartSec=10s
"
    );
    service(attachment, "the program gets the listening socket", &start)
}

/// The rules that have a meaning for a program that gets the listening socket, and for datagrams, as options. Nothing is
/// sent to clients that are refused.
pub(super) fn event_options(rules: &ConnectionRules, shared: &SharedLimits) -> Vec<String> {
    let rules = ConnectionRules {
        message: Vec::new(),
        ..rules.clone()
    };
    let sources = SharedLimits {
        rate_per_source: shared.rate_per_source,
        ..SharedLimits::default()
    };
    [rules.arguments().unwrap_or_default(), sources.arguments()].concat()
}

/// Which part of the rate of all datagrams a source has. It can have its own rate almost twice in one interval, at once
/// and evenly spaced, and leaves the rest to others.
const SHARE_OF_SOURCE: NonZeroU32 = NonZeroU32::new(3).unwrap();

/// The rate of each source of datagrams, which neither xinetd nor inetd has, and what the report says about it.
pub(super) fn rate_of_source(rate: Option<Rate>) -> (Option<Rate>, String) {
    match rate.and_then(|rate| rate.divided_by(SHARE_OF_SOURCE)) {
        Some(rate) => (
            Some(rate),
            format!(
                "--rate-per-source {rate} is added, so that one source does not close it to the others"
            ),
        ),
        None => (None, "one source can close it to the others".into()),
    }
}

/// The program of the package for built-in services. Its socket keeps what arrives while it exits.
fn datagrams(attachment: &Attachment) -> String {
    let Attachment {
        name,
        program,
        arguments,
        ..
    } = attachment;
    let words = std::iter::once(program).chain(arguments);
    let words: Vec<String> = words.map(|word| exec_word(word)).collect();
    let command = words.join(" ");
    let start = format!(
        "# The program exits if no datagram arrives for a time. systemd starts it again for the next one.
ExecStart={command}
StandardInput=socket
StandardOutput=null
StandardError=journal
SyslogIdentifier={name}
# Without a pause, a datagram that the program fails to read would start it again and again.
Restart=on-failure
RestartSec=1s
"
    );
    service(attachment, "all datagrams in one process", &start)
}

fn proxy(attachment: &Attachment, address: &str) -> String {
    let max = attachment.max_connections;
    let start = format!(
        "Type=notify
ExecStart={PROXY} --connections-max={max} {}
",
        exec_word(address)
    );
    service(attachment, "a proxy for all connections", &start)
}

/// A service unit, with the lines that start the program.
fn service(attachment: &Attachment, what: &str, start: &str) -> String {
    let Attachment {
        name, port, level, ..
    } = attachment;
    let lines = confinement(attachment, Scope::System);
    let source = own(attachment).source;
    format!(
        "[Unit]
Description={name}, {what}
Documentation=man:sockunit-import(1)
# A restart of the socket restarts this service too, which has the same listening socket.
Requires={name}.socket
After={name}.socket
# The service can be started any number of times.
StartLimitIntervalSec=0

[Service]
{start}{lines}
# For sockunit list and remove; systemd ignores it.
[{RECORD}]
Port={port}
Sandbox={level}
Source={source}
"
    )
}

fn own(attachment: &Attachment) -> Imported {
    attachment.imported.clone().unwrap_or_default()
}

/// The line that removes variables that only systemd sets, but for those that are set or passed on.
pub(super) fn unset(more: &[&'static str], keep: impl Fn(&str) -> bool) -> Option<String> {
    let mut names: Vec<&str> = OF_USER.iter().chain(more).copied().collect();
    names.retain(|name| !keep(name));
    names.sort_unstable();
    (!names.is_empty()).then(|| format!("UnsetEnvironment={}", names.join(" ")))
}
