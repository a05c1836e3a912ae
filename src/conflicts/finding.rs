//! What a check finds.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::log::{escape, reason};
use crate::systemd::Enablement;

/// A use of the requested name or port, or something worth knowing about them. Its Display is
/// `conflict: ` or `note: ` and the [`message`](Finding::message).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) claim: Claim,
    pub(crate) location: Location,
    pub(crate) kind: FindingKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The name or the port is in use.
    Conflict,
    /// The finding is not a conflict, or it is unknown whether it is one.
    Note,
}

/// The name and the port or path, as far as a finding uses them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) name: Option<String>,
    /// The TCP port.
    pub(crate) port: Option<u16>,
    /// The path of an AF_UNIX socket.
    pub(crate) path: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A file, and a line number from 1.
    File(PathBuf, Option<usize>),
    /// The address of a socket.
    Address(SocketAddr),
    /// The service manager.
    Manager,
    /// The finding is about the request itself.
    Nowhere,
}

/// What was found, with its details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FindingKind {
    /// An entry of the services database.
    Entry {
        /// The line, quoted and escaped.
        text: String,
        tcp: bool,
        /// Whether it is the line that `sockunit services add` writes for this name and port.
        ours: bool,
    },
    /// A listening socket.
    Listener {
        /// The processes that have it open, as far as they are visible to the caller.
        processes: Vec<Process>,
        /// The socket unit for which systemd listens.
        unit: Option<String>,
        /// Whether there are processes whose file descriptors the caller may not see.
        hidden: bool,
    },
    Unit(ConflictingUnit),
    /// A drop-in for a unit without a unit file.
    DropIn {
        unit: String,
    },
    /// Running instances of a template unit that was deleted.
    Instances {
        count: usize,
    },
    /// A service of xinetd or inetd.
    SuperServer {
        /// `xinetd` or `inetd`.
        program: &'static str,
        service: String,
        /// Somebody disabled it.
        disabled: bool,
        /// Why the program does not serve it although it is not disabled.
        refusal: Option<String>,
        tcp: bool,
        /// xinetd reads it in inetd.conf.
        compat: bool,
    },
    /// A file, a directory or the service manager could not be read.
    Unread {
        why: String,
    },
    /// The port is below 1024.
    PrivilegedPort,
    /// A file that is not a socket has the path.
    OtherFile,
}

/// A unit that has the name or listens on the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConflictingUnit {
    pub(crate) unit: String,
    /// The unit that `unit` is an alias of.
    pub(crate) alias_of: Option<String>,
    /// The addresses with the port, as they are written in the unit.
    pub(crate) listens: Vec<String>,
    pub(crate) masked: bool,
    /// `None` if the unit has no unit file.
    pub(crate) enablement: Option<Enablement>,
    /// ActiveState=; `None` if there is no service manager to ask.
    pub(crate) active: Option<String>,
}

/// A process that has a socket open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// The name of the command, from /proc/PID/comm.
    pub(crate) command: String,
    /// The unit that the process belongs to; `None` for PID 1.
    pub(crate) unit: Option<ProcessUnit>,
}

/// The unit that a process belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessUnit {
    pub(crate) name: String,
    /// Whether it is a unit of a user's service manager. The system's manager may have another unit of
    /// that name.
    pub(crate) of_user: bool,
}

impl Finding {
    pub(super) fn unread(path: &Path, error: &io::Error) -> Finding {
        Finding {
            severity: Severity::Note,
            claim: Claim::default(),
            location: Location::File(path.into(), None),
            kind: FindingKind::Unread { why: reason(error) },
        }
    }

    /// Like [`Finding::unread`], but `None` if the path does not exist.
    pub(super) fn unread_if_exists(path: &Path, error: &io::Error) -> Option<Finding> {
        let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        (!absent.contains(&error.kind())).then(|| Finding::unread(path, error))
    }

    pub(crate) fn is_conflict(&self) -> bool {
        self.severity == Severity::Conflict
    }

    /// The location and a sentence for the user, without the severity.
    pub(crate) fn message(&self) -> String {
        let text = match self.location {
            Location::Nowhere => Sentence(self).to_string(),
            _ => format!("{}: {}", self.location, Sentence(self)),
        };
        // Paths, addresses and names come from files that anybody may have written.
        let mut message = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                '"' | '\'' | '\\' => message.push(character),
                _ => message.extend(character.escape_debug()),
            }
        }
        message
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Conflict => "conflict",
            Severity::Note => "note",
        };
        write!(f, "{severity}: {}", self.message())
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.iter().map(|name| format!("the name {name}"));
        let port = self.port.iter().map(|port| format!("the port {port}"));
        let path = self.path.iter().map(|path| format!("the path {path}"));
        let claims: Vec<String> = name.chain(port).chain(path).collect();
        match claims.is_empty() {
            true => f.write_str("neither"),
            false => f.write_str(&claims.join(" and ")),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::File(path, Some(line)) => write!(f, "{}:{line}", path.display()),
            Location::File(path, None) => path.display().fmt(f),
            Location::Address(address) => address.fmt(f),
            Location::Manager => f.write_str("systemd"),
            Location::Nowhere => Ok(()),
        }
    }
}

/// What a finding says, without its location.
struct Sentence<'a>(&'a Finding);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { claim, kind, .. } = self.0;
        match kind {
            FindingKind::Entry {
                text, ours: true, ..
            } => {
                write!(
                    f,
                    "{text} is the line that sockunit adds for this name and port"
                )
            }
            FindingKind::Entry { text, tcp, .. } => {
                write!(f, "{text} registers {claim}{}", protocol(*tcp))
            }
            FindingKind::Listener {
                processes,
                unit,
                hidden,
            } => {
                f.write_str("listening socket: ")?;
                write_processes(f, processes, *hidden)?;
                match unit {
                    Some(unit) => write!(f, ", for {unit}"),
                    None => Ok(()),
                }
            }
            FindingKind::Unit(unit) => write_unit(f, unit, claim),
            FindingKind::DropIn { unit } => {
                write!(
                    f,
                    "{unit} does not exist, but this drop-in would apply to it"
                )
            }
            FindingKind::Instances { count } => {
                let (instances, run) = match count {
                    1 => ("instance", "runs"),
                    _ => ("instances", "run"),
                };
                write!(
                    f,
                    "{count} {instances} of a deleted service that used {claim} still {run}"
                )
            }
            FindingKind::SuperServer {
                program,
                service,
                disabled,
                refusal,
                tcp,
                compat,
            } => {
                let disabled = if *disabled { "disabled " } else { "" };
                let protocol = protocol(*tcp);
                write!(
                    f,
                    "the {disabled}{program} service {service} uses {claim}{protocol}"
                )?;
                if *compat {
                    f.write_str("; xinetd reads the file with -inetd_compat")?;
                }
                match refusal {
                    Some(why) => write!(f, ", but {program} does not serve it: {why}"),
                    None => Ok(()),
                }
            }
            FindingKind::Unread { why } => write!(f, "not checked: {why}"),
            FindingKind::OtherFile => {
                f.write_str("a file that is not a socket, which systemd would delete")
            }
            FindingKind::PrivilegedPort => write!(
                f,
                "{claim} is below 1024: systemd can listen on it, but a user's own service manager (--user) cannot"
            ),
        }
    }
}

fn write_unit(f: &mut fmt::Formatter<'_>, unit: &ConflictingUnit, claim: &Claim) -> fmt::Result {
    let mut states = Vec::new();
    if unit.masked {
        states.push("masked".to_string());
    } else {
        states.extend(unit.enablement.map(|enablement| enablement.to_string()));
    }
    states.extend(unit.active.clone());
    f.write_str(&unit.unit)?;
    if let Some(name) = &claim.name {
        write!(f, " uses the name {name}")?;
        if let Some(other) = &unit.alias_of {
            write!(f, " as an alias of {other}")?;
        }
    }
    if !unit.listens.is_empty() {
        let and = claim.name.as_ref().map_or("", |_| " and");
        let listens = match unit.active.as_deref() {
            Some("active") => "listens on",
            _ => "is configured to listen on",
        };
        write!(f, "{and} {listens} {}", unit.listens.join(", "))?;
    }
    match states.is_empty() {
        true => Ok(()),
        false => write!(f, " ({})", states.join(", ")),
    }
}

/// The number of processes that are named, to keep the line short.
const MAX_PROCESSES: usize = 4;

fn write_processes(f: &mut fmt::Formatter<'_>, processes: &[Process], hidden: bool) -> fmt::Result {
    if processes.is_empty() {
        return f.write_str(if hidden {
            "a process that is visible only to root"
        } else {
            "a process that is not visible here"
        });
    }
    for (index, process) in processes.iter().take(MAX_PROCESSES).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let Process { pid, command, unit } = process;
        write!(f, "{comma}process {pid} {}", escape(command.as_bytes()))?;
        if let Some(unit) = unit {
            write!(f, " of {}", unit.name)?;
        }
    }
    match processes.len().saturating_sub(MAX_PROCESSES) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

fn protocol(tcp: bool) -> &'static str {
    if tcp { "" } else { ", but not for TCP" }
}
