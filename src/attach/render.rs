//! The units of an attachment, in the manner of those that the package brings.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::{Attachment, Kind, Level, Listen, mark, sandbox};
use crate::systemd::Scope;
use crate::systemd::quote::{exec_program, exec_word, path_word};

/// The section in which an attachment's own data stand. systemd leaves out what begins with X-.
pub const RECORD: &str = "X-Sockunit";
/// The tool as the package installs it.
pub const TOOL: &str = "/usr/bin/sockunit";

/// A unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedUnit {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What is found out before the units can be written.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The file in a home that is to be bound into view.
    pub bind: Option<&'a Path>,
    /// Whether the line in /etc/services is made with the units, and so goes with them.
    pub services_line: bool,
}

/// The unit that runs the program, and then the one that listens.
pub fn units(attachment: &Attachment, scope: Scope, found: Found<'_>) -> [RenderedUnit; 2] {
    let name = &attachment.name;
    let service = attachment.kind.service(name);
    let sign = |text: String| mark::sign(&text, name, scope);
    [
        RenderedUnit {
            name: service,
            text: sign(service_text(attachment, scope, found)),
        },
        RenderedUnit {
            name: format!("{name}.socket"),
            text: sign(socket_text(attachment, scope)),
        },
    ]
}

fn socket_text(attachment: &Attachment, scope: Scope) -> String {
    let Attachment {
        name,
        port,
        max_connections,
        per_source,
        ..
    } = attachment;
    let single = attachment.kind == Kind::Single;
    let mut text =
        format!("[Unit]\nDescription={name} on TCP port {port}\nDocumentation=man:sockunit(1)\n");
    if single && scope == Scope::System {
        text += "# Takes away what systemd leaves of connections that have ended.\n\
                 Wants=sockunit-sweep.timer\n";
    }
    text += "# However often it is restarted, it must not be given up.\nStartLimitIntervalSec=0\n\n[Socket]\n";
    for address in addresses(attachment) {
        text += &match address {
            Listen::Everywhere => format!("ListenStream={port}\n"),
            Listen::On(IpAddr::V4(address)) => format!("ListenStream={address}:{port}\n"),
            Listen::On(IpAddr::V6(address)) => format!("ListenStream=[{address}]:{port}\n"),
        };
    }
    if addresses(attachment).contains(&Listen::On(Ipv6Addr::UNSPECIFIED.into())) {
        text += "BindIPv6Only=ipv6-only\n";
    }
    text += "# An address that is not there yet, or no IPv6, must not keep the others from being served.\n\
             FreeBind=yes\n";
    if single {
        text += &format!(
            "Accept=yes\n\
             # Beyond these a new connection is closed at once; the others are not touched.\n\
             MaxConnections={max_connections}\nMaxConnectionsPerSource={per_source}\n"
        );
    } else {
        text += "Accept=no\n";
    }
    text += "# By default systemd takes the whole socket down after 200 connections in 2 seconds. The other default,\n\
             # PollLimit, is lifted by sockunit-generator: systemd 252 does not know it.\n\
             TriggerLimitIntervalSec=0\n\n[Install]\nWantedBy=sockets.target\n";
    text
}

/// The addresses, each once; all of them, or all of a kind, make the others of that kind needless.
fn addresses(attachment: &Attachment) -> Vec<Listen> {
    if attachment.listen.contains(&Listen::Everywhere) {
        return vec![Listen::Everywhere];
    }
    if attachment.listen.is_empty() {
        return [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            Ipv6Addr::LOCALHOST.into(),
        ]
        .map(Listen::On)
        .to_vec();
    }
    let mut addresses = Vec::new();
    for address in &attachment.listen {
        let covered = match address {
            Listen::Everywhere => false,
            Listen::On(ip) => {
                let all = match ip {
                    IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
                    IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                *ip != all && attachment.listen.contains(&Listen::On(all))
            }
        };
        if !covered && !addresses.contains(address) {
            addresses.push(*address);
        }
    }
    addresses
}

fn service_text(attachment: &Attachment, scope: Scope, found: Found<'_>) -> String {
    let Attachment {
        name, port, level, ..
    } = attachment;
    let mut text = match attachment.kind {
        Kind::Single => single(attachment, scope),
        Kind::Shared => shared(attachment),
    };
    if scope == Scope::System {
        text += &user(attachment);
    }
    text += &sandbox::lines(attachment, scope);
    if let Some(path) = found.bind {
        text += &format!(
            "\n# The program lies in a home, of which nothing else is in view.\nBindReadOnlyPaths={}\n",
            path_word(&path.display().to_string())
        );
    }
    text += &format!(
        "\n# For sockunit list and remove; systemd does not read it.\n[{RECORD}]\nPort={port}\nSandbox={level}\n"
    );
    if found.services_line {
        text += &format!("Services={name} {port}/tcp\n");
    }
    text
}

/// The command as systemd is to read it.
fn command(attachment: &Attachment) -> String {
    let mut line = match attachment.kind {
        Kind::Single => exec_program(&attachment.program),
        // An argument, like the others.
        Kind::Shared => exec_word(&attachment.program),
    };
    for argument in &attachment.arguments {
        line.push(' ');
        line += &exec_word(argument);
    }
    line
}

fn single(attachment: &Attachment, scope: Scope) -> String {
    let Attachment { name, .. } = attachment;
    let command = command(attachment);
    // Only the system's manager tells the journal of such fields.
    let field = match scope {
        Scope::System => "LogExtraFields=CONNECTION=%i\n",
        Scope::User => "",
    };
    format!(
        "[Unit]
Description={name}, one connection
Documentation=man:sockunit(1)
# A connection that ended badly must leave nothing behind: failed instances would count against the socket's limits.
CollectMode=inactive-or-failed

[Service]
# The - says that a client that breaks off is no failure.
ExecStart=-{command}
StandardInput=socket
StandardOutput=socket
# The default would send messages to the client.
StandardError=journal
SyslogIdentifier={name}
{field}# Drops systemd's own two lines for each connection, which cost it a third of its time. What a program writes to stderr
# would be at info by default, and go with them.
LogLevelMax=notice
SyslogLevel=notice
# What is left of a program when the connection ends is asked to end, and killed after this.
TimeoutStopSec=2s
"
    )
}

fn shared(attachment: &Attachment) -> String {
    let Attachment {
        name,
        max_connections,
        per_source,
        ..
    } = attachment;
    let command = command(attachment);
    format!(
        "[Unit]
Description={name}, all connections in one process
Documentation=man:sockunit(1)
# Restarting the socket restarts this too, for it holds the same listening sockets.
Requires={name}.socket
After={name}.socket
# However often it has to be started, the socket must not be given up.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={TOOL} serve --name {name} --max-connections {max_connections} --per-source {per_source} -- {command}
# Only the loop that serves the connections gives the sign of life.
WatchdogSec=30s
Restart=on-failure
RestartSec=1s
# Told to stop, it lets conversations go on for 20 seconds. Meanwhile the socket keeps who comes. The programs are not
# told by systemd, which would end them at once.
KillMode=mixed
TimeoutStopSec=30s
StandardError=journal
SyslogIdentifier={name}
SyslogLevel=notice
"
    )
}

fn user(attachment: &Attachment) -> String {
    match &attachment.user {
        Some(user) => format!("User={user}\n"),
        None => match made_up_user(&attachment.name.to_string()) {
            Some(user) => format!(
                "# A user that exists while a connection does.\nDynamicUser=yes\nUser={user}\n"
            ),
            None => "# A user that exists while a connection does.\nDynamicUser=yes\n".into(),
        },
    }
}

/// How the user that systemd makes up is called; nothing where the service's name is no name of a
/// user, and systemd is left to find one.
pub fn made_up_user(name: &str) -> Option<String> {
    let fits = name.len() < 31 && !name.contains(['.', '+']);
    fits.then(|| format!("_{name}"))
}

/// Whether this level gives the service its own, empty /tmp: a user that systemd makes up has one
/// at any level.
pub fn hides_tmp(attachment: &Attachment, scope: Scope) -> bool {
    attachment.level == Level::Strict || scope == Scope::System && attachment.user.is_none()
}
