//! `sockunit import`: converts services of xinetd and inetd.

mod outcome;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::ErrorKind;
use std::path::{self, Path, PathBuf};

use clap::{Args, ValueHint};

use self::outcome::{done, taken_back};
use super::table::wrapped;
use super::{say, say_json, with_hint};
use crate::attach::Store;
use crate::import::{self, ApplyError, Conversion, Converted, Entry, Fate, Root};
use crate::interrupts::Interrupts;
use crate::log::{Plain, reason};
use crate::superserver::{self, Reading};
use crate::systemd::{Place, Scope};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Convert only the services in these files, and in the files of these directories [default: all
    /// services of /etc/xinetd.conf, /etc/inetd.conf and the files that these include]
    #[arg(value_name = "FILE|DIRECTORY", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// Write the units to this directory instead of printing them
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: Option<PathBuf>,
    /// Install the units; start the sockets of services that are not disabled, now and at every boot
    #[arg(long, conflicts_with = "output")]
    apply: bool,
    /// Disable each installed service in the file of xinetd or inetd in the same step, and have the
    /// program read the file again
    #[arg(long, requires = "apply")]
    disable_old: bool,
    /// Undo the import: remove the units of all imported services, and re-enable the services that
    /// --disable-old disabled
    #[arg(long, conflicts_with_all = ["apply", "disable_old", "output", "paths"])]
    revert: bool,
    /// Take comments after values, masks such as /255.255.255.0, localhost in access lists and ports of
    /// unlisted services as their author meant them; xinetd reads them differently
    #[arg(long)]
    as_meant: bool,
    /// Start the programs through tcpd, which applies the rules of /etc/hosts.allow and
    /// /etc/hosts.deny
    #[arg(long)]
    tcpd: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Work on the system in this directory
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = ValueHint::DirPath, value_parser = crate::tool::place::root())]
    root: PathBuf,
}

/// Files by their real paths.
type Texts = BTreeMap<PathBuf, Vec<u8>>;

/// Returns whether all services that clients use today have units.
pub(super) fn run(options: &Options) -> anyhow::Result<bool> {
    let place = Place::new(&options.root, Scope::System);
    let reading = match options.as_meant {
        true => Reading::AsMeant,
        false => Reading::AsXinetd,
    };
    if options.revert {
        return revert(&place);
    }
    let failed =
        |error: ApplyError| with_hint(format!("cannot import: {error}"), error.hint(&place));
    // Before the files are read: another run could change them.
    let store = match options.apply {
        true => Some(Store::open(&place).map_err(|error| failed(error.into()))?),
        false => None,
    };
    let (converted, texts) = converted(options, &place, reading)?;
    let mut applied = Vec::new();
    let mut _interrupts = None;
    if let Some(store) = &store {
        // They last until the report is printed.
        let interrupts = _interrupts.insert(Interrupts::block()?);
        let disable = options.disable_old;
        applied =
            import::apply(&place, store, &converted, texts, disable, interrupts).map_err(failed)?;
    }
    if let Some(directory) = &options.output {
        import::output(directory, &converted)
            .map_err(|error| with_hint(format!("cannot write: {error}"), error.hint()))?;
    }
    if options.json {
        say_json(&import::json(&converted, &applied))?;
    } else {
        say(&(text(options, &converted) + &done(&place, &applied)))?;
    }
    let mut services = converted.services.iter();
    let is_applied = applied.iter().all(|applied| applied.result.is_ok());
    Ok(is_applied && !services.any(Conversion::is_left_out))
}

/// Takes everything back.
fn revert(place: &Place) -> anyhow::Result<bool> {
    let failed = |error: ApplyError| {
        with_hint(
            format!("cannot revert the import: {error}"),
            error.hint(place),
        )
    };
    let store = Store::open(place).map_err(|error| failed(error.into()))?;
    let loaded = superserver::load_as(place, Reading::AsXinetd);
    // They last until the report is printed.
    let interrupts = Interrupts::block()?;
    let reverted = import::revert(place, &store, &loaded.texts, &interrupts).map_err(failed)?;
    say(&taken_back(&reverted))?;
    Ok(reverted.problems.is_empty())
}

/// Reads and converts the configuration. Returns the files too, by their real paths.
fn converted(
    options: &Options,
    place: &Place,
    reading: Reading,
) -> anyhow::Result<(Converted, Texts)> {
    let host = Root { place };
    let own = import::Options { tcpd: options.tcpd };
    let mut loaded = superserver::load_as(place, reading);
    let mut paths = Vec::new();
    for path in &options.paths {
        let path = match place.live() {
            true => path::absolute(path)?,
            false => place.path(path),
        };
        let is_read = loaded
            .positions()
            .any(|position| position.file.starts_with(&path));
        if !is_read {
            // It belongs to another system, or nothing reads it.
            let found = superserver::load_file(&place.root, &path, reading);
            let found = found.map_err(|(path, error)| {
                let why = format!("cannot import: {}: {}", path.display(), reason(&error));
                let root = if place.live() {
                    ""
                } else {
                    "; with --root, it begins at that directory"
                };
                let is_missing = error.kind() == ErrorKind::NotFound;
                with_hint(why, is_missing.then(|| format!("check the path{root}")))
            })?;
            loaded.append(found);
        }
        paths.push(path);
    }
    let counts = |file: &Path| paths.is_empty() || paths.iter().any(|path| file.starts_with(path));
    let converted = import::convert(&loaded, &host, own, &counts);
    Ok((converted, loaded.texts))
}

/// The units, if they are not written to files, and the report.
fn text(options: &Options, converted: &Converted) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for service in &converted.services {
        for unit in service
            .units
            .iter()
            .filter(|_| options.output.is_none() && !options.apply)
        {
            let _ = writeln!(text, "==> {} <==\n{}", unit.name, unit.text);
        }
    }
    for service in converted
        .services
        .iter()
        .filter(|service| !service.is_idle())
    {
        text += &report(service);
    }
    text += &idle(converted);
    text += &defaults(converted);
    for (position, note) in &converted.notes {
        let _ = writeln!(text, "note: {position}: {note}");
    }
    if converted.services.is_empty() {
        text += &nothing(options);
    }
    text
}

/// Where there is no service.
fn nothing(options: &Options) -> String {
    let files = match options.paths.as_slice() {
        [] => "/etc/xinetd.conf, /etc/inetd.conf and the files that they include".to_owned(),
        paths => {
            let paths = paths.iter().map(|path| path.display().to_string());
            paths.collect::<Vec<_>>().join(", ")
        }
    };
    format!("nothing to import: no service in {files}\n")
}

/// The report on a service.
fn report(service: &Conversion) -> String {
    let Conversion { name, position, .. } = service;
    let file = position.file.display().to_string();
    let reader = service.reader().map(|reader| format!(", read by {reader}"));
    let reader = reader.unwrap_or_default();
    let mut text = format!("{name}: {}:{}{reader}\n", Plain(&file), position.line);
    let mut line = |line: String| text += &wrapped(&line);
    let names: Vec<&str> = service.units.iter().map(|unit| &*unit.name).collect();
    match (names.is_empty(), &service.disabled) {
        (true, _) => {}
        (false, None) => line(format!("units: {}", names.join(", "))),
        (false, Some(why)) => line(format!(
            "units: {}; its socket is not enabled: {why}",
            names.join(", ")
        )),
    }
    for obstacle in &service.report.obstacles {
        line(format!("not written: {}", obstacle.why));
        if let Some(hint) = &obstacle.hint {
            line(format!("hint: {hint}"));
        }
    }
    if !names.is_empty() {
        let entries = || service.report.entries.iter();
        let kept = entries().filter(|entry| entry.fate == Fate::Kept);
        let kept: Vec<String> = kept
            .map(|entry| format!("{} ({})", entry.attribute, entry.text))
            .collect();
        line(format!("kept: {}", kept.join(", ")));
        let others = entries().filter(|entry| entry.fate != Fate::Kept && !is_default(entry));
        others.for_each(|entry| line(changed(entry)));
    }
    for (position, note) in &service.notes {
        line(format!("note: line {}: {note}", position.line));
    }
    text
}

/// The services that are disabled and have no units, by the reason: xinetd ships a dozen of them.
fn idle(converted: &Converted) -> String {
    let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for service in converted
        .services
        .iter()
        .filter(|service| service.is_idle())
    {
        let obstacles = service.report.obstacles.iter();
        let reason: Vec<&str> = obstacles.map(|obstacle| &*obstacle.why).collect();
        let names = by_reason.entry(reason.join("; ")).or_default();
        names.push(service.name.clone());
    }
    if by_reason.is_empty() {
        return String::new();
    }
    let lines = by_reason
        .iter()
        .map(|(reason, names)| wrapped(&format!("{}: {reason}", names.join(", "))));
    format!("disabled, and not written:\n{}", lines.collect::<String>())
}

/// Whether no line of a file says it, so that it is the same for many services.
fn is_default(entry: &Entry) -> bool {
    entry.position.is_none() && entry.fate != Fate::Kept
}

/// What changes for all services with a default of xinetd or inetd.
fn defaults(converted: &Converted) -> String {
    let mut lines: Vec<String> = Vec::new();
    let written = converted.services.iter();
    let written = written.filter(|service| !service.units.is_empty());
    for entry in written.flat_map(|service| &service.report.entries) {
        let line = changed(entry);
        if is_default(entry) && !lines.contains(&line) {
            lines.push(line);
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    let lines = lines.iter().map(|line| wrapped(line));
    format!("defaults of these services:\n{}", lines.collect::<String>())
}

fn changed(entry: &Entry) -> String {
    let fate = match entry.fate {
        Fate::Kept => "kept",
        Fate::Otherwise => "kept in another way",
        Fate::Lost => "not kept",
    };
    format!("{fate}: {}: {}", entry.attribute, entry.text)
}
