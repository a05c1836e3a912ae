//! The text of an attachment's units.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::{Attachment, Kind, ListenAddress, SERVE, sandbox, signature};
use crate::systemd::Scope;
use crate::systemd::quote::{environment_word, exec_word, path_word};

/// The section with the attachment's own data. systemd ignores sections whose name begins with X-.
pub const RECORD: &str = "X-Sockunit";

/// The name and text of a unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedUnit {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Results of the checks that the units depend on.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The file in a hidden home that needs a bind mount.
    pub bind: Option<&'a Path>,
    /// Whether an entry is added to /etc/services, and so is removed with the units.
    pub services_line: bool,
}

/// The service unit and the socket unit.
pub fn units(attachment: &Attachment, scope: Scope, found: Found<'_>) -> [RenderedUnit; 2] {
    let name = &attachment.name;
    let service = attachment.kind.service(name);
    let sign = |text: String| signature::sign(&text, name, scope);
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
    let per_connection = attachment.kind == Kind::PerConnection;
    let mut text = format!(
        "[Unit]\nDescription={name} on TCP port {port}\nDocumentation=man:sockunit-add(1)\n"
    );
    if per_connection && scope == Scope::System {
        text += "# Removes files that systemd leaves in /run after a connection ends.\n\
                 Wants=sockunit-sweep.timer\n";
    }
    text +=
        "# The socket can be restarted any number of times.\nStartLimitIntervalSec=0\n\n[Socket]\n";
    for address in addresses(attachment) {
        text += &match address {
            ListenAddress::All => format!("ListenStream={port}\n"),
            ListenAddress::Ip(IpAddr::V4(ip)) => format!("ListenStream={ip}:{port}\n"),
            ListenAddress::Ip(IpAddr::V6(ip)) => format!("ListenStream=[{ip}]:{port}\n"),
        };
    }
    if addresses(attachment).contains(&ListenAddress::Ip(Ipv6Addr::UNSPECIFIED.into())) {
        text += "BindIPv6Only=ipv6-only\n";
    }
    text += "# An address that does not exist yet, or a missing IPv6, must not make the socket fail.\n\
             FreeBind=yes\n";
    if per_connection {
        text += &format!(
            "Accept=yes\n\
             # Beyond these limits systemd closes a new connection at once.\n\
             MaxConnections={max_connections}\nMaxConnectionsPerSource={per_source}\n\
             # Without a log entry for each, with which clients could fill the journal; systemctl show has the number\n\
             # (NRefused=).\n\
             LogLevelMax=err\n"
        );
    } else {
        text += "Accept=no\n";
    }
    text += "# By default systemd stops the socket after 200 connections in 2 seconds. sockunit-generator removes the other\n\
             # default, PollLimitIntervalSec=, which systemd 252 does not know.\n\
             TriggerLimitIntervalSec=0\n\n[Install]\nWantedBy=sockets.target\n";
    text
}

/// The addresses, each once, without those that another covers.
fn addresses(attachment: &Attachment) -> Vec<ListenAddress> {
    if attachment.listen.contains(&ListenAddress::All) {
        return vec![ListenAddress::All];
    }
    if attachment.listen.is_empty() {
        return [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            Ipv6Addr::LOCALHOST.into(),
        ]
        .map(ListenAddress::Ip)
        .to_vec();
    }
    let mut addresses = Vec::new();
    for address in &attachment.listen {
        let covered = match address {
            ListenAddress::All => false,
            ListenAddress::Ip(ip) => {
                let unspecified = match ip {
                    IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
                    IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                *ip != unspecified && attachment.listen.contains(&ListenAddress::Ip(unspecified))
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
        Kind::PerConnection => per_connection(attachment, scope),
        Kind::Shared => shared(attachment),
    };
    if scope == Scope::System {
        text += &user(attachment);
    }
    text += &surroundings(attachment);
    text += &sandbox::lines(attachment, scope);
    if let Some(path) = found.bind {
        text += &format!(
            "\n# The program is in a home. Nothing else of the home is visible.\nBindReadOnlyPaths={}\n",
            path_word(&path.display().to_string())
        );
    }
    text += &format!(
        "\n# For sockunit list and remove; systemd ignores it.\n[{RECORD}]\nPort={port}\nSandbox={level}\n"
    );
    if found.services_line {
        text += &format!("Services={name} {port}/tcp\n");
    }
    text
}

/// The command of `ExecStart=`: `sockunit serve` with the program.
fn command(attachment: &Attachment) -> String {
    let Attachment {
        name,
        max_connections,
        per_source,
        ..
    } = attachment;
    let mut line = format!("{SERVE} --name {name}");
    // For the other kind, the socket unit has them.
    if attachment.kind == Kind::Shared {
        line += &format!(" --max-connections {max_connections} --per-source {per_source}");
    }
    if attachment.level.sandbox().unprivileged {
        line += " --isolate";
    }
    line += " --";
    for word in [&attachment.program]
        .into_iter()
        .chain(&attachment.arguments)
    {
        line.push(' ');
        line += &exec_word(word);
    }
    line
}

fn per_connection(attachment: &Attachment, scope: Scope) -> String {
    let Attachment { name, .. } = attachment;
    let command = command(attachment);
    // A user's service manager cannot set fields of journal entries.
    let field = match scope {
        Scope::System => "LogExtraFields=CONNECTION=%i\n",
        Scope::User => "",
    };
    format!(
        "[Unit]
Description={name}, one connection
Documentation=man:sockunit-add(1)
# systemd forgets an instance that has failed.
CollectMode=inactive-or-failed

[Service]
# The - means that an exit status other than 0 is no failure of the unit.
ExecStart=-{command}
StandardInput=socket
StandardOutput=socket
# By default, error messages would go to the client.
StandardError=journal
SyslogIdentifier={name}
{field}# systemd sends SIGTERM to the main process alone, which stops the program and waits for it.
KillMode=mixed
TimeoutStopSec=15s
"
    )
}

fn shared(attachment: &Attachment) -> String {
    let Attachment { name, .. } = attachment;
    let command = command(attachment);
    format!(
        "[Unit]
Description={name}, all connections in one process
Documentation=man:sockunit-add(1)
# A restart of the socket restarts this service too, which has the same listening sockets.
Requires={name}.socket
After={name}.socket
# The service can be restarted any number of times.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
# The event loop notifies the watchdog.
WatchdogSec=30s
Restart=on-failure
RestartSec=1s
# On SIGTERM, sockunit serve waits up to 20 seconds for its connections to end; new ones wait in the backlog. systemd
# sends SIGTERM to sockunit serve alone, not to the programs.
KillMode=mixed
TimeoutStopSec=30s
StandardError=journal
SyslogIdentifier={name}
# journald limits the entries of a unit for each priority. What programs write to standard error is a warning, so that
# it cannot suppress the entries of connections, which are notices.
SyslogLevel=warning
# Programs cannot choose the priority of their entries.
SyslogLevelPrefix=no
"
    )
}

fn user(attachment: &Attachment) -> String {
    let group = attachment.group.iter();
    let group: String = group.map(|group| format!("Group={group}\n")).collect();
    let user = match &attachment.user {
        Some(user) => format!("User={user}\n"),
        None => match dynamic_user(&attachment.name.to_string()) {
            Some(user) => format!(
                "# A user that exists only while the service runs.\nDynamicUser=yes\nUser={user}\n"
            ),
            None => "# A user that exists only while the service runs.\nDynamicUser=yes\n".into(),
        },
    };
    user + &group
}

/// The program's directories and environment.
fn surroundings(attachment: &Attachment) -> String {
    let mut text = String::new();
    if attachment.state {
        let name = &attachment.name;
        text += &format!(
            "# A directory that it can write to. It stays when the service is removed.\n\
             StateDirectory={name}\nStateDirectoryMode=0700\nEnvironment=HOME=%S/{name}\n"
        );
    }
    if let Some(directory) = &attachment.directory {
        text += &format!("WorkingDirectory={}\n", directory.replace('%', "%%"));
    }
    for variable in &attachment.environment {
        text += &format!("Environment={}\n", environment_word(&variable.to_string()));
    }
    text
}

/// The name of the dynamic user; `None` if the service name is no valid user name, and systemd chooses
/// one.
pub fn dynamic_user(name: &str) -> Option<String> {
    let fits = name.len() < 31 && !name.contains(['.', '+']);
    fits.then(|| format!("_{name}"))
}

/// Whether the service has an empty /tmp of its own, as one with a dynamic user has at any level.
pub fn hides_tmp(attachment: &Attachment, scope: Scope) -> bool {
    attachment.level.sandbox().tmp_hidden || scope == Scope::System && attachment.user.is_none()
}
