//! Converts services of xinetd and inetd to units, and reports what becomes of each attribute.
//!
//! [`convert`] takes what [`superserver`](crate::superserver) has read and does no I/O: what it has to know
//! of the system, it asks through [`Host`]. A service that would be open to more clients than before has
//! no units, but an [`Obstacle`].

mod access;
mod apply;
mod built_in;
mod host;
mod inetd;
mod json;
mod name;
mod output;
mod ports;
mod report;
mod revert;
mod source;
mod super_servers;
mod units;
mod xinetd;

use std::path::Path;

pub(crate) use apply::{
    Applied, ApplyError, Done, Failure, apply, revert_command, shown as shown_path,
};
pub(crate) use host::{Host, Root};
pub(crate) use json::json;
pub(crate) use output::output;
pub(crate) use report::{Entry, Fate, Report};
pub(crate) use revert::{Problem, Reverted, disabled, revert};

use crate::attach::RenderedUnit;
use crate::log::Plain;
use crate::server::{SharedLimits, WhenFull};
use crate::services::ServiceName;
use crate::superserver::xinetd::Note;
use crate::superserver::{self, Loaded, Position, Word, switch};
use name::Wanted;
use ports::Ports;

/// Why arguments of a file that is not readable for everybody are kept in another way.
const PUBLIC_ARGUMENTS: &str = "the arguments of ExecStart=, which everybody can read; move \
                                secrets to a file that only the user of the service can read";

/// How services are converted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Have tcpd(8) apply the rules of hosts.allow and hosts.deny.
    pub(crate) tcpd: bool,
}

/// A program that has the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SuperServer {
    Xinetd,
    Inetd,
}

impl SuperServer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            SuperServer::Xinetd => "xinetd",
            SuperServer::Inetd => "inetd",
        }
    }
}

/// A service of xinetd or inetd, and what becomes of it.
#[derive(Debug)]
pub(crate) struct Conversion {
    /// The name of its units.
    pub(crate) name: String,
    pub(crate) super_server: SuperServer,
    pub(crate) position: Position,
    /// Where it is disabled.
    pub(crate) entry: switch::Entry,
    /// The port, if another service has it already: the program serves this one when the other is disabled.
    pub(crate) behind: Option<u16>,
    /// Why it is disabled there; `None` if it is not.
    pub(crate) disabled: Option<String>,
    /// Empty if there is an obstacle.
    pub(crate) units: Vec<RenderedUnit>,
    pub(crate) report: Report,
    /// Lines that its program reads in another way than they look.
    pub(crate) notes: Vec<(Position, String)>,
}

impl Conversion {
    /// Which program reads the line, if it is one of inetd.conf.
    pub(crate) fn reader(&self) -> Option<&'static str> {
        match (self.entry, self.super_server) {
            (switch::Entry::Xinetd(_), _) => None,
            (switch::Entry::Inetd(_), SuperServer::Xinetd) => Some("xinetd with -inetd_compat"),
            (switch::Entry::Inetd(_), SuperServer::Inetd) => Some("inetd"),
        }
    }

    /// Whether the socket is to be started, now and at boot.
    pub(crate) fn is_enabled(&self) -> bool {
        self.disabled.is_none() && !self.units.is_empty()
    }

    /// Whether it serves nobody, now or as units, and there is nothing more to say about it.
    pub(crate) fn is_idle(&self) -> bool {
        self.disabled.is_some() && self.units.is_empty() && self.notes.is_empty()
    }

    /// Whether clients are served today, and would not be by units.
    pub(crate) fn is_left_out(&self) -> bool {
        self.units.is_empty() && !self.report.is_unserved
    }
}

/// What becomes of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Converted {
    pub(crate) services: Vec<Conversion>,
    /// Notes about lines outside of services.
    pub(crate) notes: Vec<(Position, String)>,
}

/// Converts the services whose files `counts` selects.
pub(crate) fn convert(
    loaded: &Loaded,
    host: &dyn Host,
    options: Options,
    counts: &dyn Fn(&Path) -> bool,
) -> Converted {
    let xinetd = loaded.xinetd.services.iter();
    let inetd = loaded.inetd.iter().flat_map(|file| &file.services);
    let inetd: Vec<_> = inetd.flat_map(inetd::split).collect();
    let wanted = xinetd
        .clone()
        .map(Wanted::of_xinetd)
        .chain(inetd.iter().map(Wanted::of_inetd));
    let names = name::assign(&wanted.collect::<Vec<_>>(), host);
    let mut names = names.into_iter();
    let mut converted = Converted::default();
    for service in xinetd {
        let name = names.next().flatten();
        if counts(&service.position.file) {
            let conversion = xinetd::convert(service, name, host, options);
            converted.services.push(conversion);
        }
    }
    for service in &inetd {
        let name = names.next().flatten();
        if counts(&service.position.file) {
            let conversion = inetd::convert(service, name, host);
            converted.services.push(conversion);
        }
    }
    // Nobody is served today where the program does not run.
    let idle = [SuperServer::Xinetd, SuperServer::Inetd].map(|program| {
        let runs = host.runs(program);
        (program, runs == Some(false))
    });
    for service in &mut converted.services {
        let program = service.super_server;
        if service.disabled.is_none() && idle.contains(&(program, true)) {
            service.disabled = Some(format!("{} does not run", program.name()));
            service.report.is_unserved = true;
        }
    }
    whole_lines(&mut converted.services);
    conflicts(&mut converted.services, host);
    let notes = loaded.xinetd.notes.iter();
    converted.notes = notes
        .filter(|note| counts(&note.position.file))
        .map(noted)
        .collect();
    for file in &loaded.inetd {
        let problems = file.problems.iter();
        let problems = problems.filter(|(position, _)| counts(&position.file));
        let problems = problems.map(|(position, why)| (position.clone(), why.to_string()));
        converted.notes.extend(problems);
    }
    converted
}

/// A line of inetd.conf is disabled as a whole: if one of its services has no units, the others have none either.
fn whole_lines(services: &mut [Conversion]) {
    let is_same = |one: &Conversion, other: &Conversion| {
        one.entry == other.entry && one.position.file == other.position.file
    };
    for line in services.chunk_by_mut(is_same) {
        let mut left_out = line.iter().filter(|service| service.is_left_out());
        let Some(name) = left_out.next().map(|service| service.name.clone()) else {
            continue;
        };
        for service in line.iter_mut().filter(|service| !service.units.is_empty()) {
            let why = format!("{name}, which has the same line, has no units");
            service.report.obstacle(why, None);
            service.units.clear();
        }
    }
}

/// Leaves out a service whose port another service has: only one of them can listen.
fn conflicts(services: &mut [Conversion], host: &dyn Host) {
    let mut before: Vec<(Ports, String)> = Vec::new();
    for service in services.iter_mut().filter(|service| service.is_enabled()) {
        let ports = Ports::of(&service.units);
        let other = before.iter().find_map(|(other, named)| {
            let port = ports.shared_with(other)?;
            Some((port, named))
        });
        if let Some((port, named)) = other {
            let hint = "disable one of them in its file";
            let why = format!("{named} has the port {port} already");
            service.report.obstacle(why, Some(hint));
            service.units.clear();
            service.behind = Some(port);
            continue;
        }
        let Position { file, line, .. } = &service.position;
        let file = host.inside(file).display().to_string();
        let named = format!("{} ({}:{line})", service.name, Plain(&file));
        before.push((ports, named));
    }
}

/// The end of a conversion: the units, unless there is an obstacle.
fn finish(
    mut report: Report,
    service: Option<units::Service>,
    conversion: impl FnOnce(Vec<RenderedUnit>, Report) -> Conversion,
) -> Conversion {
    if service.is_none() && report.obstacles.is_empty() {
        report.obstacle("it has no address to listen on", None);
    }
    let units = match service {
        Some(service) if report.obstacles.is_empty() => service.units(),
        _ => Vec::new(),
    };
    conversion(units, report)
}

/// What to do with a program whose path systemd does not accept.
const RENAME: &str = "rename it, or make a link to it";

/// A word as text for a unit file.
fn text(word: &Word) -> Option<String> {
    let text = std::str::from_utf8(&word.bytes).ok()?;
    let is_refused = |c: char| c == '\0' || crate::attach::is_noncharacter(c);
    (!text.contains(is_refused)).then(|| text.to_owned())
}

/// Both programs close connections above a limit at once, and let no client wait.
fn at_once() -> SharedLimits {
    SharedLimits {
        when_full: WhenFull::Refuse,
        ..SharedLimits::default()
    }
}

/// A user as the value of `User=`. systemd complains about the name nobody whenever it loads such a unit.
fn unit_user(host: &dyn Host, name: &str) -> String {
    let number = (name == "nobody").then(|| host.user_number(name)).flatten();
    number.map_or_else(|| name.to_owned(), |number| number.to_string())
}

/// The last part of a path.
fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The name for messages, where there is none for units.
fn shown(name: Option<&ServiceName>, id: &Word) -> String {
    name.map_or_else(|| id.to_string(), ServiceName::to_string)
}

/// A note, and whether there is another way to read its line.
fn noted(note: &Note) -> (Position, String) {
    let more = match superserver::differs(&note.kind) {
        true => "; with --as-meant, import reads it as its author meant it",
        false => "",
    };
    (note.position.clone(), format!("{note}{more}"))
}

/// A file of the configuration as a value in a unit file.
fn source(host: &dyn Host, position: &Position) -> String {
    source::encoded(&host.inside(&position.file))
}
