//! The files of a system.

use std::path::Path;
use std::rc::Rc;

use super::{byte, expect_printable};
use crate::attach::signature::{Author, Maker, author, sign};
use crate::executable::elf::Elf;
use crate::executable::run_as::{group_in, user_in};
use crate::executable::shebang::{self, Shebang};
use crate::log::Plain;
use crate::services::{self, text};
use crate::superserver::fixed_system::FixedSystem;
use crate::superserver::inetd::Dialect;
use crate::superserver::switch::{self, Entry};
use crate::superserver::{inetd as inetd_conf, xinetd as xinetd_conf};
use crate::systemd::quote::exec_word;
use crate::systemd::{Scope, UnitFile, UnitName, command_lines, split};

/// The places in unit files exist, values have no blanks around them, and a command that is quoted for a
/// unit file is read back as it was.
pub fn unit_files(data: &[u8]) {
    let file = UnitFile::parse(data);
    // CR and LF both end a line.
    let lines = 1 + data.iter().filter(|byte| b"\r\n\0".contains(byte)).count();
    for problem in &file.problems {
        assert!((1..=lines).contains(&problem.line));
    }
    for assignment in &file.assignments {
        assert!((1..=lines).contains(&assignment.line));
        let value = assignment.value.as_str();
        assert_eq!(value.trim_matches([' ', '\t', '\n', '\r']), value);
        UnitName::parse(value);
        let _ = split(value);
        for command in command_lines(value).unwrap_or_default() {
            let words = command.argv();
            // No argument has a NUL.
            if words.iter().any(|word| word.contains('\0')) {
                continue;
            }
            let quoted: Vec<String> = words.iter().map(|word| exec_word(word)).collect();
            let line = format!("/usr/bin/program {}", quoted.join(" "));
            let again = command_lines(&line).unwrap();
            assert_eq!(again.len(), 1, "{line}");
            assert_eq!(again[0].argv()[1..], words);
        }
    }
    let _ = author(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let name = "a".parse().unwrap();
        let signed = sign(text, &name, Scope::System, Maker::Add);
        assert_eq!(author(signed.as_bytes()), Author::Unchanged);
    }
}

/// An entry is removed as it was added, and found in between.
pub fn services(data: &[u8]) {
    let lines = 1 + data.iter().filter(|byte| **byte == b'\n').count();
    for line in services::lines(data) {
        assert!((1..=lines).contains(&line.number));
        assert!(line.is_named(line.name));
    }
    let entry = services::Entry {
        name: "hello".parse().unwrap(),
        port: 3333.try_into().unwrap(),
    };
    match text::add(data, &entry) {
        Ok(Some(added)) => {
            assert_eq!(services::port(&added, b"hello", b"tcp"), Some(3333));
            assert_eq!(text::add(&added, &entry), Ok(None));
            assert_eq!(text::remove(&added, &entry).as_deref(), Some(data));
        }
        Ok(None) => assert!(text::remove(data, &entry).is_some()),
        Err(conflict) => expect_printable(conflict),
    }
}

/// Each file of xinetd can be read, and what is said about it can be printed.
pub fn xinetd(data: &[u8]) {
    let mut file = xinetd_conf::parse(&Rc::from(Path::new("/etc/xinetd.conf")), data);
    let lines = xinetd_conf::parse_inetd_conf(&Rc::from(Path::new("/etc/inetd.conf")), data);
    file.items.extend(lines.items);
    file.notes.extend(lines.notes);
    let configuration = xinetd_conf::evaluate(&file.items, &FixedSystem);
    let lines = 1 + data.iter().filter(|byte| **byte == b'\n').count();
    for note in file.notes.iter().chain(&configuration.notes) {
        expect_printable(note);
        assert!((1..=lines).contains(&note.position.line));
    }
    for service in &configuration.services {
        expect_printable(&service.name);
        expect_printable(&service.id);
        assert!((1..=lines).contains(&service.position.line));
        service.refusal.iter().for_each(expect_printable);
        service.notes.iter().for_each(expect_printable);
        for setting in service.settings.values() {
            setting.values.iter().for_each(expect_printable);
            setting.patterns.iter().for_each(expect_printable);
        }
    }
}

/// Each file of inetd can be read, and what is said about it can be printed.
pub fn inetd(data: &[u8]) {
    let path = Rc::from(Path::new("/etc/inetd.conf"));
    let file = inetd_conf::parse(&path, data, Dialect::OpenBsd, &FixedSystem);
    let lines = 1 + data.iter().filter(|byte| **byte == b'\n').count();
    for (position, problem) in &file.problems {
        assert!((1..=lines).contains(&position.line));
        expect_printable(problem);
    }
    for service in &file.services {
        assert!((1..=lines).contains(&service.position.line));
        assert!(!service.program.is_empty());
        expect_printable(&service.name);
        service.is_tcp();
        service.is_not_listed();
    }
}

/// A service is disabled and enabled again exactly, and lines keep their numbers.
pub fn switch(mut data: &[u8]) {
    let line = usize::from(byte(&mut data));
    let lines = |data: &[u8]| data.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines(&switch::as_before(data)), lines(data));
    for (entry, added) in [(Entry::Xinetd(line), 2), (Entry::Inetd(line), 1)] {
        if switch::is_disabled(data, entry) != Some(false) {
            continue;
        }
        let off = switch::switched(data, &[(entry, true)]).unwrap();
        assert_eq!(lines(&off), lines(data) + added);
        if switch::all_enabled(data).is_none() {
            assert_eq!(switch::all_enabled(&off).as_deref(), Some(data));
        }
    }
    switch::disabled_by_name(data, "a");
}

/// Users and groups are read from files that need not be right.
pub fn users(mut data: &[u8]) {
    let at = usize::from(byte(&mut data)) << 8 | usize::from(byte(&mut data));
    let (passwd, group) = data.split_at(data.len().min(at));
    let [passwd, group] = [passwd, group].map(String::from_utf8_lossy);
    for name in ["root", "ann", ""] {
        let ids = user_in(&passwd, &group, name);
        assert!(ids.is_none_or(|(_, groups)| !groups.is_empty()));
        group_in(&group, name);
    }
}

/// The headers of programs and the first lines of scripts can be read.
pub fn programs(mut data: &[u8]) {
    match shebang::read(&data[..data.len().min(shebang::READ)]) {
        Some(Shebang::Interpreter(interpreter, argument)) => {
            assert!(!interpreter.is_empty() && !interpreter.contains([' ', '\t', '\n']));
            if let Some(program) = shebang::env_program(&argument) {
                expect_printable(Plain(program));
            }
        }
        Some(_) => assert!(data.starts_with(b"#!")),
        None => assert!(!data.starts_with(b"#!")),
    }
    let at = usize::from(byte(&mut data));
    let (header, table) = data.split_at(data.len().min(at));
    if let Some(elf) = Elf::read(header) {
        elf.table();
        elf.loader(table);
        expect_printable(elf.machine);
    }
}
