//! `sockunit import`: converts services of xinetd and inetd.

use std::fmt::Write;
use std::fs;
use std::path::{self, Path, PathBuf};

use clap::{Args, ValueHint};

use super::table::wrapped;
use super::{say, say_json, with_hint};
use crate::import::{self, Conversion, Converted, Entry, Fate, Root};
use crate::log::Plain;
use crate::superserver::{self, Reading};
use crate::systemd::{Place, Scope};

#[derive(Debug, Args)]
pub struct Options {
    /// Convert only the services in these files, and in the files of these directories [default: all
    /// services of /etc/xinetd.conf, /etc/inetd.conf and the files that these include]
    #[arg(value_name = "FILE|DIRECTORY", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// Write the units to this directory instead of printing them
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: Option<PathBuf>,
    /// Take comments after values, masks such as /255.255.255.0 and ports of unlisted services as their
    /// author meant them; xinetd reads something else
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
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = ValueHint::DirPath, value_parser = super::place::root())]
    root: PathBuf,
}

/// Returns whether all services that clients use today have units.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let place = Place::new(&options.root, Scope::System);
    let reading = match options.as_meant {
        true => Reading::AsMeant,
        false => Reading::AsXinetd,
    };
    let converted = converted(options, &place, reading)?;
    if let Some(directory) = &options.output {
        write(directory, &converted)?;
    }
    if options.json {
        say_json(&import::json(&converted))?;
    } else {
        say(&text(options, &converted))?;
    }
    let mut services = converted.services.iter();
    Ok(!services.any(Conversion::is_left_out))
}

/// Reads and converts the configuration.
fn converted(options: &Options, place: &Place, reading: Reading) -> anyhow::Result<Converted> {
    let host = Root { place };
    let own = import::Options { tcpd: options.tcpd };
    let mut loaded = superserver::load_as(&place.root, reading);
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
                let why = format!("cannot import: {}: {error}", path.display());
                with_hint(why, None::<&str>)
            })?;
            loaded.append(found);
        }
        paths.push(path);
    }
    let counts = |file: &Path| paths.is_empty() || paths.iter().any(|path| file.starts_with(path));
    Ok(import::convert(&loaded, &host, own, &counts))
}

/// Writes the units to a directory.
fn write(directory: &Path, converted: &Converted) -> anyhow::Result<()> {
    let failed = |path: &Path, error| {
        let why = format!("cannot write: {}: {error}", path.display());
        with_hint(why, None::<&str>)
    };
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    let units = converted.services.iter().flat_map(|service| &service.units);
    for unit in units {
        let path = directory.join(&unit.name);
        fs::write(&path, &unit.text).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// The units, if they are not written to files, and the report.
fn text(options: &Options, converted: &Converted) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for service in &converted.services {
        for unit in service.units.iter().filter(|_| options.output.is_none()) {
            let _ = writeln!(text, "==> {} <==\n{}", unit.name, unit.text);
        }
    }
    for service in &converted.services {
        text += &report(service);
    }
    text += &defaults(converted);
    for (position, note) in &converted.notes {
        let _ = writeln!(text, "note: {position}: {note}");
    }
    if converted.services.is_empty() {
        text += "there is no service of xinetd or inetd\n";
    }
    text
}

/// The report on a service.
fn report(service: &Conversion) -> String {
    let Conversion { name, position, .. } = service;
    let file = position.file.display().to_string();
    let mut text = format!("{name}: {}:{}\n", Plain(&file), position.line);
    let mut line = |line: String| text += &wrapped(&line);
    let names: Vec<&str> = service.units.iter().map(|unit| &*unit.name).collect();
    match (names.is_empty(), &service.switched_off) {
        (true, _) => {}
        (false, None) => line(format!("units: {}", names.join(", "))),
        (false, Some(why)) => line(format!(
            "units: {}; not enabled: it is switched off in {} ({why})",
            names.join(", "),
            service.super_server.name()
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
