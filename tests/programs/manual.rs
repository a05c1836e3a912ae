//! Every command and option stands in its own manual page, and the pages name no other.

use std::collections::BTreeSet;

use clap::Command;

#[path = "../../packaging/docs.d/pages.rs"]
mod pages;

/// The pages with the commands that they document.
fn pages_and_commands() -> Vec<(String, String, Vec<Command>)> {
    let mut tool = sockunit::tool::command();
    tool.build();
    let pages = pages::pages().into_iter().map(|(file, text)| {
        let name = file.rsplit_once('.').unwrap().0;
        let commands = match name.strip_prefix("sockunit-") {
            None => vec![tool.clone()],
            Some("hello") => vec![sockunit::hello::command()],
            Some("celebs") => vec![sockunit::celebs::command()],
            Some("builtin") => vec![sockunit::builtin::command()],
            Some(name) => {
                let command = tool.find_subcommand(name).unwrap();
                [command]
                    .into_iter()
                    .chain(command.get_subcommands())
                    .cloned()
                    .collect()
            }
        };
        let text = text
            .replace("\\-", "-")
            .replace("\\(aq", "'")
            .replace("\\e", "\\");
        (file, text, commands)
    });
    pages.collect()
}

/// The long options of a command.
fn options(command: &Command) -> BTreeSet<String> {
    let mut command = command.clone();
    command.build();
    let options = command.get_arguments().filter_map(|arg| arg.get_long());
    options.map(|long| format!("--{long}")).collect()
}

/// The words of a text that look like long options.
fn words(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_lowercase() || c == '-';
    let starts = text.match_indices("--").map(|(at, _)| &text[at..]);
    let words = starts.map(|rest| rest.chars().take_while(|c| is_word(*c)).collect::<String>());
    words
        .filter(|word| word.len() > 2 && !word.starts_with("---"))
        .collect()
}

#[test]
fn every_subcommand_and_service_has_a_page() {
    let files: BTreeSet<_> = pages::pages().into_iter().map(|(file, _)| file).collect();
    let mut expected: BTreeSet<String> = sockunit::tool::command()
        .get_subcommands()
        .map(|command| format!("sockunit-{}.1", command.get_name()))
        .collect();
    expected.insert("sockunit.1".into());
    expected.extend(["hello", "celebs", "builtin"].map(|name| format!("sockunit-{name}.8")));
    assert_eq!(files, expected);
}

#[test]
fn every_include_and_option_section_is_replaced() {
    for (file, text) in pages::pages() {
        for mark in ["@INCLUDE", "@OPTIONS", "@NAME@", "@PORT@"] {
            assert!(!text.contains(mark), "{file}: {mark}");
        }
    }
}

#[test]
fn every_option_is_in_the_options_of_its_own_page() {
    for (file, text, commands) in pages_and_commands() {
        let sections = text.split("\n.SH ");
        let documented: String = sections
            .filter(|s| s.trim_start_matches('"').starts_with("OPTIONS"))
            .collect();
        let documented = documented.replace("\\fB", "");
        for command in commands
            .iter()
            .filter(|command| command.get_name() != "help")
        {
            for option in options(command) {
                let entry = |line: &str| {
                    let mut entries = line.split([' ', ',']).map(|word| word.replace("\\fR", ""));
                    entries.any(|word| word == option)
                };
                assert!(documented.lines().any(entry), "{file}: {option}");
            }
        }
    }
}

#[test]
fn a_page_names_only_options_that_exist() {
    // Options of systemctl and rsync.
    let foreign = ["--now", "--daemon"].map(str::to_owned);
    let pages = pages_and_commands();
    let tool: BTreeSet<_> = pages
        .iter()
        .flat_map(|page| &page.2)
        .collect::<Vec<_>>()
        .iter()
        .flat_map(|c| options(c))
        .collect();
    for (file, text, commands) in &pages {
        let known: BTreeSet<String> = match file.ends_with(".8") {
            true => commands.iter().flat_map(options).collect(),
            false => tool.clone(),
        };
        for word in words(text) {
            assert!(
                known.contains(&word) || foreign.contains(&word),
                "{file}: {word}"
            );
        }
    }
}

#[test]
fn every_page_that_a_page_refers_to_exists() {
    let files: BTreeSet<_> = pages::pages().into_iter().map(|(file, _)| file).collect();
    let mut references = 0;
    for (file, text, _) in pages_and_commands() {
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (".BR", Some(name), Some(section)) =
                (words.next().unwrap_or_default(), words.next(), words.next())
            else {
                continue;
            };
            if !name.starts_with("sockunit") || !section.starts_with('(') {
                continue;
            }
            let referred = format!("{name}.{}", &section[1..2]);
            assert!(files.contains(&referred), "{file}: {referred}");
            references += 1;
        }
    }
    assert!(references > 20, "{references} references");
}

#[test]
fn help_and_examples_fit_80_columns() {
    for (file, text, commands) in pages_and_commands() {
        for mut command in commands {
            for help in [command.render_help(), command.render_long_help()] {
                for line in help.to_string().lines() {
                    assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
                }
            }
        }
        // What is not filled is indented by at most 11 columns.
        let examples = text.split("\n.EX\n").skip(1);
        for line in examples.flat_map(|text| text.split("\n.EE").next().unwrap().lines()) {
            assert!(line.chars().count() <= 69, "{file}: {line}");
        }
    }
}
