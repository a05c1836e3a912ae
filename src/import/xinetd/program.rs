//! The program of a service, with tcpd before it if its rules are kept.

use super::super::units::{Socket, Start};
use super::super::{PUBLIC_ARGUMENTS, RENAME, file_name, text};
use super::{Converter, Fate, has};
use crate::superserver::xinetd::NoteKind;
use crate::systemd::quote::can_be_program;

/// tcpd(8), which applies hosts.allow and hosts.deny.
const TCPD: &str = "/usr/sbin/tcpd";

impl Converter<'_> {
    /// The program and its arguments.
    pub(super) fn program(&mut self) -> Option<(String, Vec<String>)> {
        let service = self.service;
        let is_too_late = |kind: &NoteKind| *kind == NoteKind::NameInArgsTooLate;
        if service.notes.iter().any(|note| is_too_late(&note.kind)) {
            self.report.obstacle(
                "flags = NAMEINARGS after server_args: xinetd starts the program without its arguments",
                Some("put flags before server_args"),
            );
        }
        if service.setting("redirect").is_some() {
            return self.redirected();
        }
        let Some((program, setting)) = self.value("server") else {
            if self.report.obstacles.is_empty() {
                self.report
                    .obstacle("the attribute server is missing", None);
            }
            return None;
        };
        if !can_be_program(&program) || !program.starts_with('/') {
            self.report.obstacle(
                format!("server = {program}: systemd accepts no such path"),
                Some(RENAME),
            );
        }
        // xinetd does not look for it when it reads inetd.conf.
        if service.is_inetd_line && !self.host.is_executable(&program) {
            self.report.is_unserved = true;
            let why = format!("there is no program {program}");
            self.report.obstacle(why, None);
        }
        let starts = match self.start {
            Start::Waits(_) => "sockunit serve starts it",
            _ => "sockunit serve starts it for each connection",
        };
        self.kept("server", setting, starts);
        let mut arguments = Vec::new();
        if let Some(setting) = service.setting("server_args") {
            for word in &setting.values {
                match text(word) {
                    Some(word) => arguments.push(word),
                    None => self.not_text(word),
                }
            }
            match self.host.is_public(&setting.position.file) {
                true => self.kept("server_args", setting, "the arguments of ExecStart="),
                false => self.otherwise("server_args", setting, PUBLIC_ARGUMENTS),
            }
        }
        let name = match has(service, "flags", "NAMEINARGS") && !arguments.is_empty() {
            true => arguments.remove(0),
            false => file_name(&program),
        };
        let (program, name) = self.wrapped(program, name);
        self.imported.program_name = Some(name);
        Some((program, arguments))
    }

    /// The program and its name, with tcpd before it if that keeps the rules of hosts.allow and hosts.deny.
    fn wrapped(&mut self, program: String, name: String) -> (String, String) {
        let service = self.service;
        let own = service.setting("libwrap");
        let daemon = match own.and_then(|setting| text(setting.values.first()?)) {
            Some(daemon) => daemon,
            None if has(service, "flags", "NAMEINARGS") => file_name(&name),
            None => file_name(&program),
        };
        let attribute = match own {
            Some(_) => format!("libwrap = {daemon}"),
            None => "hosts.allow and hosts.deny".into(),
        };
        let position = own.map(|setting| &setting.position);
        if has(service, "flags", "NOLIBWRAP") || program == TCPD {
            if let Some(setting) = own {
                self.kept("libwrap", setting, "flags = NOLIBWRAP or tcpd comes first");
            }
            return (program, name);
        }
        if !self.options.tcpd {
            if !self.host.has_wrapper_rules() {
                let text = "they have no rules, and the units do not read them; with --tcpd, rules that are added later have an effect";
                self.report.add(Fate::Otherwise, attribute, position, text);
                return (program, name);
            }
            self.report.obstacle(
                "xinetd applies the rules of /etc/hosts.allow and /etc/hosts.deny, and the units would not",
                Some("--tcpd keeps them; or set flags = NOLIBWRAP if they do not matter to it"),
            );
            return (program, name);
        }
        if self.start == Start::Waits(Socket::Stream) {
            self.report.obstacle(
                "wait = yes: tcpd does not know the addresses of clients",
                Some("set flags = NOLIBWRAP if the rules do not matter to it"),
            );
            return (program, name);
        }
        if daemon != file_name(&program) {
            self.report.obstacle(
                format!(
                    "tcpd would look for rules of {}, not of {daemon}",
                    file_name(&program)
                ),
                Some("change the rules, or set flags = NOLIBWRAP"),
            );
            return (program, name);
        }
        if !self.host.is_executable(TCPD) {
            let why = format!("--tcpd: there is no {TCPD}");
            self.report.obstacle(why, Some("apt install tcpd"));
        }
        let text =
            "tcpd applies their rules and starts the program, which gets its path as its name";
        self.report.add(Fate::Otherwise, attribute, position, text);
        (TCPD.into(), program)
    }
}
