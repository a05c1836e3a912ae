//! Attaching: what is checked, what is written, and in which order.

use std::fs;
use std::path::PathBuf;

use super::answer::{self, Answer};
use super::render::{self, Found, RenderedUnit, TOOL, made_up_user};
use super::store::{Content, Store};
use super::{Attachment, Error, Kind, Level, remove};
use crate::conflicts::{self, Claim, Finding, FindingKind};
use crate::executable::{self, RunAs, Visibility, user_exists};
use crate::services::{self, Entry, Run};
use crate::systemd::Manager;
use crate::systemd::journalctl::{self, Of};
use crate::systemd::{Place, Scope, quote};

/// What `add` is going to write.
#[derive(Debug)]
pub struct Plan {
    /// The unit that runs the program, and the one that listens.
    pub units: [RenderedUnit; 2],
    /// The line for /etc/services, unless it has one for this name and port.
    pub line: Option<Entry>,
    /// The link that starts the socket at boot: its path below the folder of units, and its target.
    pub link: Option<(String, PathBuf)>,
}

/// What `add` did.
#[derive(Debug)]
pub struct Added {
    /// What it wrote.
    pub plan: Plan,
    /// What came back from the first connection; nothing where there is no running manager.
    pub answer: Option<Answer>,
}

/// Checks everything that can be checked before something is changed.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn plan(place: &Place, attachment: &Attachment) -> Result<Plan, Error> {
    let name = attachment.name.to_string();
    if name.contains('+') {
        return Err(Error::Refused(format!(
            "{name} is no name for a unit, which has letters, digits and . _ - only; choose another"
        )));
    }
    remove::unattached(place, &attachment.name)?;
    let mut words = [&attachment.program]
        .into_iter()
        .chain(&attachment.arguments);
    if words.any(|word| word.contains(is_no_character)) {
        return Err(Error::Refused(
            "the program's name or an argument has a code point in it that is no character (U+FFFF, for one), and \
             systemd takes no such line; put it into a script"
                .into(),
        ));
    }
    let bind = check_program(place, attachment)?;
    let entry = Entry {
        name: attachment.name.clone(),
        port: attachment.port,
    };
    let line = free(place, &entry)?;
    let found = Found {
        bind: bind.as_deref(),
        services_line: line.is_some(),
    };
    let units = render::units(attachment, place.scope, found);
    // systemd takes no longer line.
    const LONGEST: usize = 1 << 20;
    if units
        .iter()
        .any(|unit| unit.text.lines().any(|line| line.len() >= LONGEST))
    {
        return Err(Error::Refused(
            "the program's arguments are too long for a unit file; put them into a script".into(),
        ));
    }
    let link = attachment.enable.then(|| {
        let target = PathBuf::from(format!("../{name}.socket"));
        (remove::link(&name), target)
    });
    Ok(Plan { units, line, link })
}

/// What systemd does not take for text.
fn is_no_character(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xFFFE == 0xFFFE
}

/// Checks the program and the user that it runs as; the file to be bound into view, if any.
fn check_program(place: &Place, attachment: &Attachment) -> Result<Option<PathBuf>, Error> {
    let runner = runner(place, attachment)?;
    let view = Visibility {
        homes_hidden: attachment.level == Level::Strict,
        tmp_hidden: render::hides_tmp(attachment, place.scope),
        native_only: attachment.level != Level::Off,
    };
    let program = &attachment.program;
    let sound = executable::check(&place.root, program.as_ref(), &runner, view)?;
    let unwritable = |text: &str| !quote::can_be_program(text);
    let bound = sound.bind.iter().map(|path| path.display().to_string());
    if unwritable(program) || bound.into_iter().any(|path| unwritable(&path)) {
        return Err(Error::Refused(format!(
            "{program:?} has a quote, a backslash or a control character in its name, which systemd \
             does not take; rename it"
        )));
    }
    if attachment.kind == Kind::Shared {
        let mut view = view;
        view.tmp_hidden = false;
        executable::check(&place.root, TOOL.as_ref(), &runner, view).map_err(|mut fault| {
            fault.what = format!("--shared needs the sockunit package: {}", fault.what);
            fault
        })?;
    }
    Ok(sound.bind)
}

fn runner(place: &Place, attachment: &Attachment) -> Result<RunAs, Error> {
    if place.scope == Scope::User {
        return match (&attachment.user, place.live()) {
            (Some(user), _) => Err(Error::Refused(format!(
                "your own service manager runs programs as you, and not as {user}; leave --user-name \
                 or --user away"
            ))),
            (None, true) => Ok(RunAs::own().without_privileges()),
            (None, false) => Ok(RunAs::dynamic()),
        };
    }
    if let Some(user) = &attachment.user {
        let runner = RunAs::named(&place.root, user).ok_or_else(|| {
            Error::Refused(format!(
                "there is no user {user}; make one (adduser --system {user}), or leave --user-name away"
            ))
        })?;
        return Ok(match attachment.level {
            Level::Off => runner,
            _ => runner.without_privileges(),
        });
    }
    match made_up_user(&attachment.name.to_string()) {
        Some(user) if user_exists(&place.root, &user) => Err(Error::Refused(format!(
            "there is a user {user} already, and the service's own would be called so; choose another \
             service name, or run it as that user: --user-name {user}"
        ))),
        _ => Ok(RunAs::dynamic()),
    }
}

/// Makes sure that the name and the port are free; the line for /etc/services, if one is to be added.
fn free(place: &Place, entry: &Entry) -> Result<Option<Entry>, Error> {
    let mut findings = conflicts::find(place, &entry.name, entry.port);
    // A line with this name for this port says what is going to hold, and its twin of another protocol
    // stands in nobody's way.
    let entry_of_both = |finding: &Finding, tcp_only: bool| {
        let Claim { name, port } = &finding.claim;
        matches!(finding.kind, FindingKind::Entry { tcp, .. } if tcp || !tcp_only)
            && name.is_some()
            && port.is_some()
    };
    let there = findings.iter().any(|finding| entry_of_both(finding, true));
    findings.retain(|finding| finding.is_conflict() && !(there && entry_of_both(finding, false)));
    if !findings.is_empty() {
        return Err(Error::Taken(findings));
    }
    let file = place.path("/etc/services");
    // One that is kept elsewhere is left alone.
    let plain = fs::symlink_metadata(file).is_ok_and(|file| file.is_file());
    let add = place.scope == Scope::System && !there && plain;
    Ok(add.then(|| entry.clone()))
}

/// Attaches a program, or leaves everything as it was.
///
/// # Errors
///
/// See [`Error`]; what had been done by then is undone.
pub fn add(place: &Place, attachment: &Attachment) -> Result<Added, Error> {
    let store = Store::open(place)?;
    remove::recover(place, &store, &attachment.name)?;
    let plan = plan(place, attachment)?;
    let manager = Manager::of(place);
    let done = write(place, &store, &plan).and_then(|()| match &manager {
        Some(manager) => start(place, manager, attachment).map(Some),
        None => Ok(None),
    });
    match done {
        Ok(answer) => Ok(Added { plan, answer }),
        Err(error) => {
            // What stands in the way of undoing it stood in the way of doing it.
            let _ = remove::dismantle(place, &store, &attachment.name);
            Err(error)
        }
    }
}

/// The unit that runs the program comes first, because it says what there is to be taken away; the
/// one that listens comes last, because it makes the rest complete.
fn write(place: &Place, store: &Store, plan: &Plan) -> Result<(), Error> {
    let [service, socket] = &plan.units;
    store.put(&service.name, Content::Text(&service.text))?;
    if let Some(entry) = &plan.line {
        services::add(&place.root, entry, Run::Real)?;
    }
    if let Some((path, target)) = &plan.link {
        store.put(path, Content::Link(target))?;
    }
    store.put(&socket.name, Content::Text(&socket.text))
}

fn start(place: &Place, manager: &Manager, attachment: &Attachment) -> Result<Answer, Error> {
    manager.daemon_reload()?;
    let socket = format!("{}.socket", attachment.name);
    let since = journalctl::now();
    if let Err(error) = manager.start(&socket) {
        let why = journalctl::last(place, Of::Unit(&socket), Some(&since)).lines;
        return Err(match why.last() {
            Some(line) => Error::NoAnswer(format!("{socket} did not start: {line}")),
            None => error.into(),
        });
    }
    answer::try_once(place, attachment, &since)
}
