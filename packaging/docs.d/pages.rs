//! The manual pages.

use std::fs;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use jiff::Timestamp;

/// The line of a file in packaging/man that the OPTIONS section replaces.
const OPTIONS: &str = "@OPTIONS@\n";

/// The beginning of a line that another file replaces: `@INCLUDE FILE@`, for a page of a service `@INCLUDE FILE NAME
/// PORT@`.
const INCLUDE: &str = "@INCLUDE ";

/// All manual pages: the file's name, such as `sockunit-add.1`, and its text.
///
/// # Panics
///
/// If packaging/man has no file for a page.
pub fn pages() -> Vec<(String, String)> {
    let mut tool = sockunit::tool::command();
    tool.build();
    let mut pages = vec![page("sockunit", "1", &tool, &[&tool])];
    for command in tool.get_subcommands().filter(|c| c.get_name() != "help") {
        let own: Vec<&Command> = command
            .get_subcommands()
            .filter(|c| c.get_name() != "help")
            .collect();
        let usages = if own.is_empty() { vec![command] } else { own };
        let name = format!("sockunit-{}", command.get_name());
        pages.push(page(&name, "1", command, &usages));
    }
    let services = [
        sockunit::hello::command(),
        sockunit::celebs::command(),
        sockunit::builtin::command(),
    ];
    for service in services {
        let name = format!("sockunit-{}", service.get_name());
        let path = format!("/usr/libexec/sockunit/{}", service.get_name());
        let mut service = service.bin_name(path);
        service.build();
        pages.push(page(&name, "8", &service, &[&service]));
    }
    pages
}

/// One page. Commands that share a page, `services add` and `services remove`, have the same options.
fn page(name: &str, section: &str, command: &Command, usages: &[&Command]) -> (String, String) {
    let file = format!("{name}.{section}");
    let prose = source(&format!("{file}.in")).replace(OPTIONS, &options(usages[0]));
    let about = command.get_about().map(ToString::to_string);
    let about = escape(&about.unwrap_or_default());
    let title = name.to_uppercase();
    let (date, version) = (date(), env!("CARGO_PKG_VERSION"));
    let synopsis: Vec<String> = usages.iter().map(|usage| synopsis(usage)).collect();
    let text = format!(
        // No hyphenation, so that names of options and directives stay whole.
        ".nr HY 0\n.TH {title} {section} {date} \"sockunit {version}\"\n.ad l\n\
         .SH NAME\n{} \\- {about}\n.SH SYNOPSIS\n{}{prose}",
        escape(name),
        synopsis.join(".br\n"),
    );
    (file, text)
}

/// A file of packaging/man, with the files that it includes.
fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging/man")
        .join(file);
    let text = fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split_inclusive('\n')
        .map(|line| included(line).unwrap_or_else(|| line.into()))
        .collect()
}

/// The file that a line names, with NAME and PORT in place of `@NAME@` and `@PORT@`.
fn included(line: &str) -> Option<String> {
    let mut words = line.strip_prefix(INCLUDE)?.strip_suffix("@\n")?.split(' ');
    let text = source(&format!("{}.inc", words.next()?));
    Some(match (words.next(), words.next()) {
        (Some(name), Some(port)) => text.replace("@NAME@", name).replace("@PORT@", port),
        _ => text,
    })
}

/// The day of the build, or the one that a reproducible build asks for.
fn date() -> String {
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
    let time = epoch.and_then(|seconds| Timestamp::from_second(seconds.parse().ok()?).ok());
    time.unwrap_or_else(Timestamp::now)
        .strftime("%Y-%m-%d")
        .to_string()
}

/// The usage line of a command, what is typed as it stands in bold.
fn synopsis(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let words = usage.split_whitespace().skip(1).map(|word| {
        if word.starts_with(['[', '<']) {
            escape(word)
        } else {
            format!("\\fB{}\\fR", escape(word))
        }
    });
    words.collect::<Vec<_>>().join(" ") + "\n"
}

/// The OPTIONS section of a command.
fn options(command: &Command) -> String {
    let mut section = Vec::new();
    Man::new(command.clone())
        .render_options_section(&mut section)
        .expect("writing to a Vec does not fail");
    let section = String::from_utf8(section).expect("the help is text");
    let start = section.find(".SH").unwrap_or_default();
    section[start..]
        .replace("\\*(Aq", "\\(aq")
        // mandoc complains about a line break beside an empty line.
        .replace(".br\n\n.br\n", ".sp\n")
        .replace(".RS 14\n", ".RS\n")
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}
