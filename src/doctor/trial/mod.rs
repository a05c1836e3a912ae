//! Runs the program of a service once, in the sandbox of its own unit, and shows what it does.

mod units;

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use self::units::Units;
use super::report::Outcome;
use super::subject::Subject;
use super::{Problem, Report, access, attempt, ended, files};
use crate::attach::{BUFFERED, NO_CLIENT, UNBUFFER};
use crate::connect::{Conversation, First, Then, dial};
use crate::connection::{Peer, send_now};
use crate::hint::Hint;
use crate::log::{escape, reason};
use crate::systemd::journalctl::{self, Filter, Unread, WARNING};
use crate::systemd::{Manager, Place};

/// How long the program may take to end once its client has gone.
const END: Duration = Duration::from_secs(5);
/// How often systemd is asked.
const INTERVAL: Duration = Duration::from_millis(50);
/// At most this many lines are shown of each kind.
const MAX_LINES: usize = 20;

/// What a program did.
#[derive(Debug)]
pub(crate) struct Trial {
    /// The unit whose program ran.
    unit: String,
    /// What it sent.
    bytes: Vec<u8>,
    first: First,
    then: Then,
    /// What it wrote to the journal, quoted.
    entries: Vec<String>,
    unread: Option<Unread>,
    end: End,
}

/// How the program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// By itself, without an error.
    Success,
    /// With an error.
    Failed(String),
    /// It ran on, and was stopped.
    Runs,
    /// systemd did not start it.
    NeverStarted,
}

impl Trial {
    /// Whether the program was started, and did not end with an error.
    pub(crate) fn works(&self) -> bool {
        matches!(self.end, End::Success | End::Runs)
    }
}

/// Runs the program of the service `name`, with more lines for its `[Service]` section. The client sends a
/// line, if there is one.
///
/// # Errors
///
/// There is no such service, or it cannot be tried.
pub(crate) fn try_service(
    place: &Place,
    name: &str,
    line: Option<&str>,
    properties: &[String],
) -> Result<Trial, Problem> {
    let outcome = Outcome::Works;
    let mut report = Report {
        to: &mut |_| {},
        outcome,
    };
    let socket = files::socket(place, name, &mut report)?;
    let subject = files::open(place, name, socket, &mut report)?;
    let Some(manager) = subject.manager else {
        return Err(Problem::new(
            format!("{name} cannot be tried: no service manager runs"),
            "boot this system with systemd; a user's service manager runs while the user is logged in",
        ));
    };
    if let Some(path) = place.foreign_directory(&units::directory(place)) {
        return Err(Problem::new(
            format!(
                "cannot write the units of the trial: {}: belongs to another user",
                path.display()
            ),
            "run this as the user who owns the directory",
        ));
    }
    let units = Units::write(&subject, manager, properties).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "run this as root, or with --user for a unit of your own"
            }
            _ => "see whether /run is full or read-only",
        };
        Problem::new(
            format!("cannot write the units of the trial: {}", reason(&error)),
            hint,
        )
    })?;
    run(&subject, manager, &units, line)
}

fn run(
    subject: &Subject<'_>,
    manager: Manager,
    units: &Units,
    line: Option<&str>,
) -> Result<Trial, Problem> {
    let since = journalctl::now();
    let failed = |what: String| {
        let entries = journalctl::last(subject.place, Filter::Unit(&units.socket), Some(&since));
        let hint = "see the entries above";
        Problem::new(format!("cannot try {}: {what}", subject.name), hint)
            .evidence(entries.quoted())
    };
    manager
        .start(&units.socket)
        .map_err(|error| failed(error.to_string()))?;
    let deadline = Instant::now() + attempt::TIMEOUT;
    let stream =
        dial(&units.target, attempt::CONNECT_TIMEOUT).map_err(|error| failed(error.to_string()))?;
    if access::proxy_header(subject, Peer::of(stream.as_fd()))?.is_some() {
        let _ = send_now(&stream, NO_CLIENT);
    }
    let mut conversation = Conversation::begin(stream, line, deadline);
    conversation.listen(attempt::PATIENCE);
    if conversation.is_silent() {
        conversation.half_close();
    }
    let (bytes, first, then) = (
        conversation.bytes.clone(),
        conversation.first,
        conversation.then,
    );
    // A program ends when its client has gone.
    drop(conversation);
    let end = wait_for_end(subject, manager, units);
    let mut entries = journalctl::last(subject.place, Filter::Unit(&units.services), Some(&since));
    entries
        .list
        .retain(|entry| !entry.of_manager || entry.priority < WARNING);
    let unread = entries.unread.take();
    Ok(Trial {
        unit: subject.service.name.clone(),
        bytes,
        first,
        then,
        entries: entries.quoted(),
        unread,
        end,
    })
}

/// Waits until the program has ended, for a limited time. A shared service goes on.
fn wait_for_end(subject: &Subject<'_>, manager: Manager, units: &Units) -> End {
    let until = Instant::now() + END;
    loop {
        let shown = manager.show_all(&[&units.services], &ended::PROPERTIES);
        let shown = shown.unwrap_or_default();
        let unit = shown
            .iter()
            .find(|unit| unit.get("Id").starts_with("sockunit-try-"));
        let state = unit.map_or("", |unit| unit.get("SubState"));
        let over = match unit {
            Some(unit) if ["exited", "failed", "dead"].contains(&state) => {
                // An instance that was never started is dead too.
                (unit.get("ExecMainCode") != "0" || state == "failed").then(|| how(unit))
            }
            _ => None,
        };
        match over {
            Some(end) => return end,
            None if state == "running" && !subject.accept => return End::Runs,
            None if Instant::now() < until => thread::sleep(INTERVAL),
            None if state.is_empty() || state == "dead" => return End::NeverStarted,
            None => return End::Runs,
        }
    }
}

/// How a unit's program ended, also where `ExecStart=-` has systemd ignore it.
fn how(unit: &crate::systemd::Properties) -> End {
    let (result, status) = (unit.get("Result"), unit.get("ExecMainStatus"));
    // The numbers of waitid(2).
    let result = match (result, unit.get("ExecMainCode")) {
        ("success", "1") if status != "0" => "exit-code",
        ("success", "2" | "3") => "signal",
        _ => result,
    };
    match result {
        "success" => End::Success,
        result => End::Failed(ended::how(result, status)),
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = &self.unit;
        match (self.first, self.then) {
            (First::Never, _) => writeln!(f, "{unit} sends nothing")?,
            (First::AtHalfClose, _) => writeln!(f, "{unit} {BUFFERED}:")?,
            (First::After(_), _) => writeln!(f, "{unit} sends:")?,
        }
        let text = String::from_utf8_lossy(&self.bytes);
        let lines: Vec<String> = text.lines().map(|line| escape(line.as_bytes())).collect();
        write_lines(f, &lines)?;
        if self.then == Then::GoesOn {
            writeln!(f, "    ...")?;
        }
        match (self.entries.is_empty(), &self.unread) {
            (_, Some(why)) => writeln!(f, "what it writes to standard error is {why}")?,
            (true, None) => writeln!(f, "it writes nothing to standard error and the journal")?,
            (false, None) => writeln!(f, "it writes to standard error and the journal:")?,
        }
        write_lines(f, &self.entries)?;
        match &self.end {
            End::Success => f.write_str("its program ended with exit status 0"),
            End::Failed(how) => f.write_str(how),
            End::Runs => f.write_str("its program was still running, and was stopped"),
            End::NeverStarted => f.write_str("systemd did not start it"),
        }?;
        match self.first {
            First::AtHalfClose => write!(f, "\n{}", Hint::new(UNBUFFER)),
            _ => Ok(()),
        }
    }
}

fn write_lines(f: &mut fmt::Formatter<'_>, lines: &[String]) -> fmt::Result {
    for line in lines.iter().take(MAX_LINES) {
        writeln!(f, "    {line}")?;
    }
    match lines.len() > MAX_LINES {
        true => writeln!(f, "    ..."),
        false => Ok(()),
    }
}
