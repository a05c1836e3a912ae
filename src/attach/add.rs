//! Attaching a program: the checks, the files and their order.

use std::path::{Path, PathBuf};

use super::changing::Changing;
use super::failure::Failure;
use super::listen::endpoints;
use super::probe::Answer;
use super::remove::Attached;
use super::render::{self, Found, RenderedUnit};
use super::run_as::run_as;
use super::store::{Content, Store};
use super::{Attachment, Error, Kind, SERVE, Variable, free, remove, replace, rules, socket_path};
use crate::executable::{self, NotExecutable, Visibility};
use crate::hint::{Hint, ShellCommand};
use crate::interrupts::Interrupts;
use crate::log::Plain;
use crate::root;
use crate::services::{self, Entry, Run};
use crate::systemd::{Manager, Place, Scope, quote};

/// systemd accepts no longer line in a unit file, in bytes.
const MAX_LINE: usize = 1 << 20;

/// What `add` is going to write.
#[derive(Debug)]
pub(crate) struct Plan {
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
pub(crate) struct Added {
    /// What it has written.
    pub plan: Plan,
    /// What it has changed.
    pub change: Change,
    /// The service's answer to the first connection; `None` if no service manager runs.
    pub answer: Option<Answer>,
    /// What an unchanged service does not do.
    pub pending: Pending,
}

/// What the administrator may have left for later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    /// The socket is not active.
    pub is_inactive: bool,
    /// A unit file or a drop-in has changed since systemd read it.
    pub is_unread: bool,
}

/// What `add` has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The service is new.
    New,
    /// The service was attached with these options already.
    Unchanged,
    /// The service was attached with other options.
    Replaced,
    /// An earlier run was killed when it had written the files.
    Finished,
}

/// Checks everything that can be checked before something is changed.
///
/// # Errors
///
/// The first problem.
pub(crate) fn plan(place: &Place, attachment: &Attachment) -> Result<Plan, Error> {
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
    let rules = rules::check(attachment)?;
    let paths: Vec<String> = endpoints(attachment)
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut words = [&attachment.program]
        .into_iter()
        .chain(&attachment.directory)
        .chain(&rules)
        .chain(&paths)
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
    let line = free::check(place, attachment, attached.as_ref())?;
    let line = line.filter(|_| attachment.services_entry);
    check_directory(place, attachment)?;
    socket_path::check(place, attachment)?;
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
pub(crate) fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xFFFE == 0xFFFE
}

/// Checks the program and its user. Returns the file that needs a bind mount, if any.
fn check_program(place: &Place, attachment: &Attachment) -> Result<Option<PathBuf>, Error> {
    let user = run_as(place, attachment)?;
    let sandbox = attachment.level.sandbox();
    let visible = Visibility {
        homes_hidden: sandbox.homes_hidden,
        tmp_hidden: render::hides_tmp(attachment, place.scope),
        native_only: sandbox.native_only,
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
    rules::check_banners(place, attachment, &user, visible)?;
    let serve = executable::check(&place.root, SERVE.as_ref(), &user, visible);
    serve.map_err(|error| NotExecutable {
        problem: format!(
            "the package sockunit is not installed completely: {}",
            error.problem
        ),
        hint: match (error.denied, place.live()) {
            (true, _) => error.hint,
            (false, true) => Hint::new("install the package again").command(ShellCommand::new(&[
                "apt",
                "install",
                "--reinstall",
                "sockunit",
            ])),
            (false, false) => Hint::new("install the package sockunit in that system"),
        },
        ..error
    })?;
    Ok(found.bind)
}

/// Checks the working directory and the state directory.
fn check_directory(place: &Place, attachment: &Attachment) -> Result<(), Error> {
    if attachment.state && place.scope == Scope::User {
        return Err(Error::invalid(
            "--state is for services of the system",
            "leave out --user, or use --sandbox standard and a directory of your own",
        ));
    }
    let Some(directory) = &attachment.directory else {
        return Ok(());
    };
    let shown = Plain(directory);
    let traced = root::trace(&place.root, directory.as_ref());
    if !directory.starts_with('/') || !traced.is_ok_and(|traced| traced.status.is_dir()) {
        return Err(Error::invalid(
            format!("--directory {shown}: not a directory"),
            "give the absolute path of a directory",
        ));
    }
    // It stands in the unit as it is: a line end in it would begin another directive.
    if !quote::can_be_program(directory) {
        return Err(Error::invalid(
            format!(
                "--directory {shown}: the path has a quote, a backslash or a control character, which systemd does \
                 not accept"
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
            format!("--directory {shown}: hidden from the service by its sandbox"),
            "use another directory, --state for one of its own, or --sandbox standard",
        )),
        false => Ok(()),
    }
}

/// Attaches a program, or leaves everything as it was. If the service is attached with these options
/// already, nothing is done; if with others, `replace` says whether they are replaced.
///
/// # Errors
///
/// See [`Error`]; what was done before the error is undone. A signal is such an error too, if it comes before all is
/// done.
pub(crate) fn add(
    place: &Place,
    attachment: &Attachment,
    replace: bool,
    interrupts: &Interrupts,
) -> Result<Added, Failure> {
    let store = Store::open(place)?;
    let manager = Manager::of(place);
    if manager.is_none() && place.live() && place.scope == Scope::User {
        return Err(Error::NoUserManager.into());
    }
    remove::recover(place, &store, &attachment.name)?;
    let plan = plan(place, attachment)?;
    let change = Changing {
        place,
        store: &store,
        manager,
        attachment,
        interrupts,
    };
    let Some(attached) = &plan.attached else {
        let answer = change.attach(&plan)?;
        return Ok(Added::new(plan, Change::New, answer));
    };
    let difference = replace::difference(&store, &plan, attached, &attachment.name);
    if difference.is_empty() {
        return Ok(match (manager, change.is_unfinished()) {
            (Some(manager), true) => {
                let answer = change.finish(manager, attached)?;
                Added::new(plan, Change::Finished, Some(answer))
            }
            (Some(manager), false) => {
                let pending = Pending::of(&manager, attachment)?;
                Added {
                    pending,
                    ..Added::new(plan, Change::Unchanged, None)
                }
            }
            (None, _) => Added::new(plan, Change::Unchanged, None),
        });
    }
    if !replace {
        return Err(Error::Differs(difference).into());
    }
    if !attached.changed.is_empty() {
        return Err(Error::changed(place, &attachment.name, attached.changed.clone()).into());
    }
    let answer = replace::replace(&change, &plan, attached)?;
    Ok(Added::new(plan, Change::Replaced, answer))
}

impl Added {
    fn new(plan: Plan, change: Change, answer: Option<Answer>) -> Added {
        Added {
            plan,
            change,
            answer,
            pending: Pending::default(),
        }
    }
}

impl Pending {
    fn of(manager: &Manager, attachment: &Attachment) -> Result<Pending, Error> {
        let name = &attachment.name;
        let properties = ["ActiveState", "NeedDaemonReload"];
        let socket = manager.show(&format!("{name}.socket"), &properties)?;
        let mut is_unread = socket.get("NeedDaemonReload") == "yes";
        if attachment.kind == Kind::Shared {
            let service = manager.show(&attachment.kind.service(name), &properties)?;
            is_unread |= service.get("NeedDaemonReload") == "yes";
        }
        Ok(Pending {
            is_inactive: matches!(socket.get("ActiveState"), "inactive" | "failed"),
            is_unread,
        })
    }
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
