//! Attaching a program: the checks, the files and their order.

use std::fs;
use std::path::{Path, PathBuf};

use super::probe::{self, Answer};
use super::remove::Attached;
use super::render::{self, Found, RenderedUnit, dynamic_user};
use super::store::{Content, Store};
use super::{Attachment, Error, Kind, SERVE, Variable, remove, replace};
use crate::conflicts::{self, FindingKind};
use crate::executable::{self, NotExecutable, RunAs, Visibility, group_id, user_exists};
use crate::hint::{Hint, ShellCommand};
use crate::log::Plain;
use crate::root;
use crate::services::{self, Entry, Run};
use crate::systemd::journalctl::{self, Filter};
use crate::systemd::{Manager, Place, Scope, quote};

/// systemd accepts no longer line in a unit file, in bytes.
const MAX_LINE: usize = 1 << 20;

/// What `add` is going to write.
#[derive(Debug)]
pub struct Plan {
    /// The service unit and the socket unit.
    pub units: [RenderedUnit; 2],
    /// The entry for /etc/services, unless it has one for this name and port.
    pub line: Option<Entry>,
    /// The link that starts the socket at boot: its path below the directory of units, and its target.
    pub link: Option<(String, PathBuf)>,
    /// The service as it is attached already.
    pub attached: Option<Attached>,
}

/// What `add` has done.
#[derive(Debug)]
pub struct Added {
    /// What it has written.
    pub plan: Plan,
    /// What it has changed.
    pub change: Change,
    /// The service's answer to the first connection; `None` if no service manager runs.
    pub answer: Option<Answer>,
}

/// What `add` has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The service is new.
    New,
    /// The service was attached with these options already.
    Unchanged,
    /// The service was attached with other options.
    Replaced,
}

/// Checks everything that can be checked before something is changed.
///
/// # Errors
///
/// The first problem.
pub fn plan(place: &Place, attachment: &Attachment) -> Result<Plan, Error> {
    let name = attachment.name.to_string();
    if name.contains('+') {
        return Err(Error::invalid(
            format!("{name} is not a valid unit name"),
            "use letters, digits and . _ - only",
        ));
    }
    let attached = remove::attached(place, &attachment.name)?;
    let environment: Vec<String> = attachment
        .environment
        .iter()
        .map(Variable::to_string)
        .collect();
    let mut words = [&attachment.program]
        .into_iter()
        .chain(&attachment.directory)
        .chain(&attachment.arguments)
        .chain(&environment);
    if words.any(|word| word.contains(is_noncharacter)) {
        return Err(Error::invalid(
            "the program, an argument or another option has a Unicode noncharacter such as U+FFFF, and systemd ignores \
             such a line",
            "call it from a script",
        ));
    }
    let bind = check_program(place, attachment)?;
    let entry = Entry {
        name: attachment.name.clone(),
        port: attachment.port,
    };
    let line = check_free(place, attachment.kind, &entry, attached.as_ref())?;
    let line = line.filter(|_| attachment.services_entry);
    check_directory(place, attachment)?;
    let found = Found {
        bind: bind.as_deref(),
        services_line: line.is_some(),
    };
    let units = render::units(attachment, place.scope, found);
    let mut lines = units.iter().flat_map(|unit| unit.text.lines());
    if lines.any(|line| line.len() >= MAX_LINE) {
        return Err(Error::invalid(
            "the arguments are too long for a unit file",
            "call the program from a script",
        ));
    }
    let link = attachment.enable.then(|| {
        let target = PathBuf::from(format!("../{name}.socket"));
        (remove::link(&name), target)
    });
    Ok(Plan {
        units,
        line,
        link,
        attached,
    })
}

/// Whether systemd takes the character for invalid UTF-8.
fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xFFFE == 0xFFFE
}

/// Checks the program and its user. Returns the file that needs a bind mount, if any.
fn check_program(place: &Place, attachment: &Attachment) -> Result<Option<PathBuf>, Error> {
    let user = run_as(place, attachment)?;
    let sandbox = attachment.level.sandbox();
    let visible = Visibility {
        homes_hidden: sandbox.homes_hidden,
        tmp_hidden: render::hides_tmp(attachment, place.scope),
        native_only: sandbox.unprivileged,
    };
    let program = &attachment.program;
    let found = executable::check(&place.root, program.as_ref(), &user, visible)?;
    let bound = found.bind.iter().map(|path| path.display().to_string());
    let mut paths = bound.chain([program.clone()]);
    if paths.any(|path| !quote::can_be_program(&path)) {
        return Err(Error::invalid(
            format!(
                "{}: the path has a quote, a backslash or a control character, which systemd does not accept",
                Plain(program)
            ),
            "rename it",
        ));
    }
    let serve = executable::check(&place.root, SERVE.as_ref(), &user, visible);
    serve.map_err(|error| NotExecutable {
        problem: format!(
            "the package sockunit is not installed completely: {}",
            error.problem
        ),
        ..error
    })?;
    Ok(found.bind)
}

/// Checks the working directory and the state directory.
fn check_directory(place: &Place, attachment: &Attachment) -> Result<(), Error> {
    if attachment.state && place.scope == Scope::User {
        return Err(Error::invalid(
            "--state is for services of the system",
            "leave out --user, or use --sandbox standard and a directory of yours",
        ));
    }
    let Some(directory) = &attachment.directory else {
        return Ok(());
    };
    let shown = Plain(directory);
    let way = root::walk(&place.root, directory.as_ref());
    if !directory.starts_with('/') || !way.is_ok_and(|way| way.end.is_dir()) {
        return Err(Error::invalid(
            format!("{shown} is not a directory"),
            "give the absolute path of a directory",
        ));
    }
    // It stands in the unit as it is: a line end in it would begin another directive.
    if !quote::can_be_program(directory) {
        return Err(Error::invalid(
            format!(
                "{shown} has a quote, a backslash or a control character, which systemd does not accept"
            ),
            "rename it, or use another directory",
        ));
    }
    let hidden = ["/home", "/root", "/run", "/tmp", "/var/tmp"];
    let is_hidden = hidden
        .iter()
        .any(|hidden| Path::new(directory).starts_with(hidden));
    match is_hidden && attachment.level.sandbox().homes_hidden {
        true => Err(Error::invalid(
            format!("{shown} is hidden from the service by its sandbox"),
            "use another directory, --state for one of its own, or --sandbox standard",
        )),
        false => Ok(()),
    }
}

fn run_as(place: &Place, attachment: &Attachment) -> Result<RunAs, Error> {
    if place.scope == Scope::User {
        return match (
            attachment.user.as_ref().or(attachment.group.as_ref()),
            place.live(),
        ) {
            (Some(user), _) => Err(Error::invalid(
                format!("your service manager runs programs as you, not as {user}"),
                "leave out --user-name and --group, or --user",
            )),
            (None, true) => Ok(RunAs::own().without_privileges()),
            (None, false) => Ok(RunAs::dynamic()),
        };
    }
    let group = match &attachment.group {
        None => None,
        Some(name) => Some(group_id(&place.root, name).ok_or_else(|| {
            Error::Invalid {
                problem: format!("the group {} does not exist", Plain(name)),
                hint: Hint::new("create it, or leave out --group")
                    .command(ShellCommand::new(&["addgroup", "--system"]).arg(name)),
            }
        })?),
    };
    if let Some(name) = &attachment.user {
        let user = RunAs::named(&place.root, name).ok_or_else(|| Error::Invalid {
            problem: format!("the user {} does not exist", Plain(name)),
            hint: Hint::new("create it, or leave out --user-name")
                .command(ShellCommand::new(&["adduser", "--system"]).arg(name)),
        })?;
        let user = user.in_group(group);
        return Ok(match attachment.level.sandbox().unprivileged {
            true => user.without_privileges(),
            false => user,
        });
    }
    match dynamic_user(&attachment.name.to_string()) {
        Some(user) if user_exists(&place.root, &user) => Err(Error::invalid(
            format!("the dynamic user would have the name of an existing user, {user}"),
            format!("use another service name, or run it as that user: --user-name {user}"),
        )),
        _ => Ok(RunAs::dynamic().in_group(group)),
    }
}

/// Checks that the name and the port are free, but for the service itself. Returns the entry for
/// /etc/services, unless the name or the port has another one.
fn check_free(
    place: &Place,
    kind: Kind,
    entry: &Entry,
    attached: Option<&Attached>,
) -> Result<Option<Entry>, Error> {
    let units = kind.units(&entry.name);
    let mut findings = conflicts::find(place, &entry.name, entry.port, &units);
    let own_line = attached.and_then(|attached| attached.line.as_ref());
    let registered = findings.iter().any(|finding| {
        let named = finding.claim.name.is_some();
        match finding.kind {
            FindingKind::Entry { ours: true, .. } => own_line != Some(entry),
            FindingKind::Entry { tcp, .. } => (tcp || named) && own_line.is_none(),
            _ => false,
        }
    });
    findings.retain(|finding| {
        let own = match &finding.kind {
            FindingKind::Unit(unit) => attached.is_some() && is_own(entry, &unit.unit),
            FindingKind::Listener {
                unit: Some(unit), ..
            } => attached.is_some() && is_own(entry, unit),
            _ => false,
        };
        finding.is_conflict() && !own
    });
    if !findings.is_empty() {
        return Err(Error::InUse(findings));
    }
    let file = place.path("/etc/services");
    // A link belongs to another tool.
    let plain = fs::symlink_metadata(file).is_ok_and(|file| file.is_file());
    let add = place.scope == Scope::System && !registered && plain;
    Ok(add.then(|| entry.clone()))
}

/// Whether a unit is one of the service's.
fn is_own(entry: &Entry, unit: &str) -> bool {
    let name = &entry.name;
    [Kind::PerConnection, Kind::Shared]
        .iter()
        .any(|kind| kind.units(name).iter().any(|own| own == unit))
}

/// Attaches a program, or leaves everything as it was. If the service is attached with these options
/// already, nothing is done; if with others, `replace` says whether they are replaced.
///
/// # Errors
///
/// See [`Error`]; what was done before the error is undone.
pub fn add(place: &Place, attachment: &Attachment, replace: bool) -> Result<Added, Error> {
    let store = Store::open(place)?;
    remove::recover(place, &store, &attachment.name)?;
    let plan = plan(place, attachment)?;
    let manager = Manager::of(place);
    let Some(attached) = &plan.attached else {
        let done = write(place, &store, &plan).and_then(|()| match &manager {
            Some(manager) => start(place, manager, attachment).map(Some),
            None => Ok(None),
        });
        return match done {
            Ok(answer) => Ok(Added {
                plan,
                change: Change::New,
                answer,
            }),
            Err(error) => {
                // The first error is the one to report; undoing often fails for the same reason.
                let _ = remove::dismantle(place, &store, &attachment.name);
                Err(error)
            }
        };
    };
    let difference = replace::difference(&store, &plan, attached, &attachment.name);
    if difference.is_empty() {
        return Ok(Added {
            plan,
            change: Change::Unchanged,
            answer: None,
        });
    }
    if !replace {
        return Err(Error::Differs(difference));
    }
    if !attached.changed.is_empty() {
        return Err(Error::Changed(attached.changed.clone()));
    }
    let answer = replace::replace(place, &store, manager.as_ref(), &plan, attached, attachment)?;
    Ok(Added {
        plan,
        change: Change::Replaced,
        answer,
    })
}

/// Writes the service unit first, because it records what `remove` has to remove, and the socket unit
/// last, because it completes the service.
pub(super) fn write(place: &Place, store: &Store, plan: &Plan) -> Result<(), Error> {
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
        let entries = journalctl::last(place, Filter::Unit(&socket), Some(&since));
        return Err(match entries.messages.last() {
            Some(line) => Error::NoAnswer(format!("{socket} does not start: {}", Plain(line))),
            None => error.into(),
        });
    }
    probe::connect_once(place, attachment, &since)
}
