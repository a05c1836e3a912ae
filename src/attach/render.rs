//! The text of an attachment's units.

use std::path::Path;

use super::listen::{Endpoint, endpoints, listen_directives};
use super::signature::{self, Maker};
use super::{Attachment, Kind, SERVE, sandbox};
use crate::systemd::Scope;
use crate::systemd::quote::{environment_word, exec_word, path_word};

/// The section with the attachment's own data. systemd ignores sections whose name begins with X-.
pub(crate) const RECORD: &str = "X-Sockunit";

/// The name and text of a unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RenderedUnit {
    pub name: String,
    pub text: String,
}

/// Results of the checks that the units depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    /// The file in a hidden home that needs a bind mount.
    pub bind: Option<&'a Path>,
    /// Whether an entry is added to /etc/services, and so is removed with the units.
    pub services_line: bool,
}

/// The service unit and the socket unit.
pub(super) fn units(attachment: &Attachment, scope: Scope, found: Found<'_>) -> [RenderedUnit; 2] {
    let name = &attachment.name;
    let service = attachment.kind.service(name);
    let maker = match attachment.imported {
        None => Maker::Add,
        Some(_) => Maker::Import,
    };
    let sign = |text: String| signature::sign(&text, name, scope, maker);
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

/// The units of an imported service.
pub(crate) fn render_imported(attachment: &Attachment) -> [RenderedUnit; 2] {
    let found = Found {
        bind: None,
        services_line: false,
    };
    units(attachment, Scope::System, found)
}

fn socket_text(attachment: &Attachment, scope: Scope) -> String {
    let Attachment {
        name,
        max_connections,
        ..
    } = attachment;
    let endpoints = endpoints(attachment);
    let place = description(&endpoints);
    let per_connection = attachment.kind == Kind::PerConnection;
    let manual = manual(attachment);
    let mut text = format!("[Unit]\nDescription={name} on {place}\nDocumentation={manual}\n");
    if per_connection && scope == Scope::System {
        text += "# Removes files that systemd leaves in /run after a connection ends.\n\
                 Wants=sockunit-sweep.timer\n";
    }
    text +=
        "# The socket can be restarted any number of times.\nStartLimitIntervalSec=0\n\n[Socket]\n";
    text += &listen_directives(attachment, "ListenStream");
    if endpoints
        .iter()
        .any(|end| matches!(end, Endpoint::Local(_)))
    {
        text += &socket_file(attachment);
    }
    text += "# An address that does not exist yet, or a missing IPv6, must not make the socket fail.\n\
             FreeBind=yes\n";
    let imported = attachment.imported.iter();
    text.extend(imported.flat_map(|own| own.socket.iter().map(|line| format!("{line}\n"))));
    if per_connection {
        let per_source = attachment.of_one_source();
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

/// The manual page of the command that wrote the units.
fn manual(attachment: &Attachment) -> &'static str {
    match attachment.imported {
        None => "man:sockunit-add(1)",
        Some(_) => "man:sockunit-import(1)",
    }
}

/// The ports and paths, for people.
fn description(endpoints: &[Endpoint]) -> String {
    let mut ports = Vec::new();
    let mut paths = Vec::new();
    for endpoint in endpoints {
        match endpoint {
            Endpoint::Tcp(_, port) if !ports.contains(&port.to_string()) => {
                ports.push(port.to_string());
            }
            Endpoint::Tcp(..) => {}
            Endpoint::Local(path) => paths.push(path.replace('%', "%%")),
        }
    }
    let name = match ports.len() {
        0 | 1 => "TCP port",
        _ => "TCP ports",
    };
    let ports = (!ports.is_empty()).then(|| format!("{name} {}", ports.join(", ")));
    let places: Vec<String> = ports.into_iter().chain(paths).collect();
    places.join(" and ")
}

/// Owner and mode of the file of an AF_UNIX socket.
fn socket_file(attachment: &Attachment) -> String {
    let user = attachment.user.iter();
    let mut text: String = user.map(|user| format!("SocketUser={user}\n")).collect();
    text += &match &attachment.group {
        Some(group) => format!(
            "# The members of the group may connect.\nSocketGroup={group}\nSocketMode=0660\n"
        ),
        None => {
            "# Every local user may connect, as to a loopback address.\nSocketMode=0666\n".into()
        }
    };
    text + "RemoveOnStop=yes\n"
}

fn service_text(attachment: &Attachment, scope: Scope, found: Found<'_>) -> String {
    let Attachment {
        name, port, level, ..
    } = attachment;
    let mut text = match attachment.kind {
        Kind::PerConnection => per_connection(attachment, scope),
        Kind::Shared => shared(attachment),
    };
    text += &confinement(attachment, scope);
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
    if let Some(imported) = &attachment.imported {
        text += &format!("Source={}\n", imported.source);
    }
    text
}

/// The command of `ExecStart=`: `sockunit serve` with these options and the program.
pub(crate) fn serve_command(attachment: &Attachment, options: Vec<String>) -> String {
    let mut words = vec![SERVE.to_owned()];
    words.extend(options);
    let imported = attachment.imported.as_ref();
    if let Some(name) = imported.and_then(|own| own.program_name.as_ref()) {
        words.extend(["--program-name".into(), name.clone()]);
    }
    words.push("--".into());
    words.push(attachment.program.clone());
    words.extend(attachment.arguments.iter().cloned());
    let words: Vec<String> = words.iter().map(|word| exec_word(word)).collect();
    words.join(" ")
}

/// The options of `sockunit serve`. A process for one connection has no use for those that count
/// connections; the socket unit has its limits.
fn serve_options(attachment: &Attachment) -> Vec<String> {
    let Attachment {
        name,
        max_connections,
        ..
    } = attachment;
    let mut words = vec!["--name".to_owned(), name.to_string()];
    if attachment.kind == Kind::Shared {
        let max = max_connections.to_string();
        let per_source = attachment.of_one_source().to_string();
        words.extend([
            "--max-connections".into(),
            max,
            "--per-source".into(),
            per_source,
        ]);
        words.extend(attachment.shared.arguments());
    }
    if attachment.level.sandbox().isolated {
        words.push("--isolate".into());
    }
    words.extend(attachment.proxy.arguments());
    words.extend(attachment.rules.arguments().unwrap_or_default());
    words
}

fn per_connection(attachment: &Attachment, scope: Scope) -> String {
    let Attachment { name, .. } = attachment;
    let command = serve_command(attachment, serve_options(attachment));
    let manual = manual(attachment);
    // A user's service manager cannot set fields of journal entries.
    let field = match scope {
        Scope::System => "LogExtraFields=CONNECTION=%i\n",
        Scope::User => "",
    };
    format!(
        "[Unit]
Description={name}, one connection
Documentation={manual}
# systemd forgets an instance that has failed.
CollectMode=inactive-or-failed

[Service]
# The - means that an exit status other than 0 is not a failure of the unit.
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
    let command = serve_command(attachment, serve_options(attachment));
    let manual = manual(attachment);
    format!(
        "[Unit]
Description={name}, all connections in one process
Documentation={manual}
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
RestartSec=250ms
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

/// The lines of the `[Service]` section with the user, the environment and the sandbox.
pub(crate) fn confinement(attachment: &Attachment, scope: Scope) -> String {
    let user = match scope {
        Scope::System => user(attachment),
        Scope::User => String::new(),
    };
    user + &surroundings(attachment) + &sandbox::lines(attachment, scope)
}

fn user(attachment: &Attachment) -> String {
    let group = attachment.group.iter();
    let group: String = group.map(|group| format!("Group={group}\n")).collect();
    let user = match attachment.run_as() {
        // systemd 257 takes CAP_SETUID from the server if its unit has User= and a system call filter.
        Some(_) if attachment.level.sandbox().as_root => "# It runs as root.\n".into(),
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
    let imported = attachment.imported.iter();
    text.extend(imported.flat_map(|own| own.service.iter().map(|line| format!("{line}\n"))));
    text
}

/// The name of the dynamic user; `None` if the service name is not a valid user name, and systemd chooses
/// one.
pub(super) fn dynamic_user(name: &str) -> Option<String> {
    let fits = name.len() < 31 && !name.contains(['.', '+']);
    fits.then(|| format!("_{name}"))
}

/// Whether the service has an empty /tmp of its own, as one with a dynamic user has at any level.
pub(super) fn hides_tmp(attachment: &Attachment, scope: Scope) -> bool {
    attachment.level.sandbox().tmp_hidden || scope == Scope::System && attachment.run_as().is_none()
}
