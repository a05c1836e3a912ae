//! What a survey finds.

use std::fmt::{self, Write};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::log::escape;
use crate::systemd::Enablement;

/// One used_by of the name or the port, or something worth knowing. Its Display is the line for
/// the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it stands in the way.
    pub severity: Severity,
    /// What of the two it has.
    pub claim: Claim,
    /// Location it was found.
    pub place: Location,
    /// What it is.
    pub used_by: UsedBy,
}

/// Whether a finding stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It does: the name or the port is taken.
    Conflict,
    /// It does not, or nobody can say.
    Note,
}

/// The name, the port, or both, as far as a finding has to do with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// The name, where that is meant.
    pub name: Option<String>,
    /// The TCP port, where that is meant.
    pub port: Option<u16>,
}

/// Location something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In a file, and on which line where it is one line.
    File(PathBuf, Option<usize>),
    /// At an address.
    Address(SocketAddr),
    /// With the service manager.
    Manager,
    /// Nowhere.
    Nowhere,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsedBy {
    /// A line of the services database.
    Entry {
        /// The line, in quotation marks.
        text: String,
        /// Whether it is for TCP.
        tcp: bool,
        /// Whether it is the line that `sockunit services add` writes for this name and port.
        ours: bool,
    },
    /// A TCP socket that listens.
    Listener {
        /// Who has it open, as far as that can be seen.
        processes: Vec<Process>,
        /// The socket unit that it is of, where systemd listens.
        unit: Option<String>,
        /// Whether there are processes whose sockets the caller may not see.
        hidden: bool,
    },
    /// A unit.
    Unit(UnitUse),
    /// Drop-ins for a unit that is not there.
    DropIns {
        /// The unit.
        unit: String,
    },
    /// Instances that still run of a template that is not there any more.
    Instances {
        /// How many.
        count: usize,
    },
    /// A service of xinetd or inetd.
    Super {
        /// Whose.
        program: &'static str,
        /// What it is called there.
        service: String,
        /// Whether it is switched off.
        disabled: bool,
        /// Whether it is for TCP.
        tcp: bool,
    },
    /// Something that could not be read.
    Unread {
        /// Why.
        why: String,
    },
    /// A port below 1024.
    LowPort,
}

/// A unit that has the name or listens on the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitUse {
    /// Its name.
    pub unit: String,
    /// The unit that it is another name of.
    pub alias_of: Option<String>,
    /// The addresses on the port, as they are written in the unit.
    pub listens: Vec<String>,
    /// Whether it is masked.
    pub masked: bool,
    /// Whether it is started at boot; `None` where it has no file.
    pub enablement: Option<Enablement>,
    /// `active`, `failed` and so on; `None` where no service manager was asked.
    pub active: Option<String>,
}

/// A process that has a socket open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub command: String,
    /// The unit that it belongs to; the first process belongs to none.
    pub unit: Option<String>,
}

impl Finding {
    /// That something could not be read.
    pub(super) fn unread(path: &Path, error: &io::Error) -> Finding {
        Finding {
            severity: Severity::Note,
            claim: Claim::default(),
            place: Location::File(path.into(), None),
            used_by: UsedBy::Unread {
                why: error.to_string(),
            },
        }
    }

    /// The same, but nothing where it is only not there.
    pub(super) fn unread_if_there(path: &Path, error: &io::Error) -> Option<Finding> {
        let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        (!absent.contains(&error.kind())).then(|| Finding::unread(path, error))
    }

    /// Whether it stands in the way.
    pub fn is_conflict(&self) -> bool {
        self.severity == Severity::Conflict
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.port) {
            (Some(name), Some(port)) => write!(f, "the name {name} and the port {port}"),
            (Some(name), None) => write!(f, "the name {name}"),
            (None, Some(port)) => write!(f, "the port {port}"),
            (None, None) => f.write_str("neither"),
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

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Conflict => "taken",
            Severity::Note => "note",
        };
        let text = match self.place {
            Location::Nowhere => format!("{severity}: {}", Sentence(self)),
            _ => format!("{severity}: {}: {}", self.place, Sentence(self)),
        };
        // Paths, addresses and names are of files that anybody may have written.
        for character in text.chars() {
            match character {
                '"' | '\'' | '\\' => f.write_char(character)?,
                _ => character.escape_debug().fmt(f)?,
            }
        }
        Ok(())
    }
}

/// What a finding says, without where.
struct Sentence<'a>(&'a Finding);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { claim, used_by, .. } = self.0;
        match used_by {
            UsedBy::Entry {
                text, ours: true, ..
            } => {
                write!(f, "{text} is there already, as sockunit writes it")
            }
            UsedBy::Entry { text, tcp, .. } => {
                write!(f, "{text} has {claim}{}", protocol(*tcp))
            }
            UsedBy::Listener {
                processes,
                unit,
                hidden,
            } => {
                f.write_str("listens: ")?;
                write_processes(f, processes, *hidden)?;
                match unit {
                    Some(unit) => write!(f, ", for {unit}"),
                    None => Ok(()),
                }
            }
            UsedBy::Unit(unit) => unit.sentence(f, claim),
            UsedBy::DropIns { unit } => {
                write!(f, "there is no {unit}, but this would be a part of it")
            }
            UsedBy::Instances { count } => {
                write!(
                    f,
                    "{count} instances of a service that had {claim} still run"
                )
            }
            UsedBy::Super {
                program,
                service,
                disabled,
                tcp,
            } => {
                let disabled = if *disabled { "disabled " } else { "" };
                let protocol = protocol(*tcp);
                write!(
                    f,
                    "the {disabled}{program} service {service} has {claim}{protocol}"
                )
            }
            UsedBy::Unread { why } => write!(f, "not looked at: {why}"),
            UsedBy::LowPort => write!(
                f,
                "{claim} is below 1024: such ports are for well-known services, and no ordinary \
                 user may listen on one"
            ),
        }
    }
}

impl UnitUse {
    fn sentence(&self, f: &mut fmt::Formatter<'_>, claim: &Claim) -> fmt::Result {
        let mut states = Vec::new();
        if self.masked {
            states.push("masked".to_string());
        } else {
            states.extend(self.enablement.map(|enablement| enablement.to_string()));
        }
        states.extend(self.active.clone());
        f.write_str(&self.unit)?;
        if let Some(name) = &claim.name {
            write!(f, " has the name {name}")?;
            if let Some(other) = &self.alias_of {
                write!(f, " as another name of {other}")?;
            }
        }
        if !self.listens.is_empty() {
            let and = claim.name.as_ref().map_or("", |_| " and");
            write!(f, "{and} listens on {}", self.listens.join(", "))?;
        }
        match states.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", states.join(", ")),
        }
    }
}

/// More than anyone wants to read on one line.
const MOST_PROCESSES: usize = 4;

fn write_processes(f: &mut fmt::Formatter<'_>, processes: &[Process], hidden: bool) -> fmt::Result {
    if processes.is_empty() {
        return f.write_str(if hidden {
            "a process that only root may see"
        } else {
            "no process that is to be seen from here"
        });
    }
    for (index, process) in processes.iter().take(MOST_PROCESSES).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let Process { pid, command, unit } = process;
        write!(f, "{comma}process {pid} {}", escape(command.as_bytes()))?;
        if let Some(unit) = unit {
            write!(f, " of {unit}")?;
        }
    }
    match processes.len().saturating_sub(MOST_PROCESSES) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

fn protocol(tcp: bool) -> &'static str {
    if tcp { "" } else { ", but not for TCP" }
}
