//! Units made of the configuration of others.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::attach::signature::MADE;
use crate::import::{Host, Options, SuperServer, convert};
use crate::superserver::fixed_system::FixedSystem;
use crate::superserver::inetd::{self, Dialect};
use crate::superserver::{Loaded, xinetd};
use crate::systemd::{CommandLine, UnitFile, command_lines};

/// A system that has everything.
struct Everything;

impl Host for Everything {
    fn user_name(&self, uid: u32) -> Option<String> {
        (uid == 0).then(|| "root".into())
    }

    fn group_name(&self, gid: u32) -> Option<String> {
        (gid == 0).then(|| "root".into())
    }

    fn has_user(&self, _: &str) -> bool {
        true
    }

    fn user_number(&self, name: &str) -> Option<u32> {
        (name == "nobody").then_some(65534)
    }

    fn has_group(&self, _: &str) -> bool {
        true
    }

    fn own_group(&self, _: &str) -> Option<String> {
        Some("root".into())
    }

    fn groups(&self, _: &str) -> Vec<String> {
        vec!["users".into()]
    }

    fn readable(&self, _: &Path, _: Option<&str>) -> Result<u64, String> {
        Ok(1)
    }

    fn is_public(&self, _: &Path) -> bool {
        true
    }

    fn is_executable(&self, path: &str) -> bool {
        path.starts_with('/')
    }

    fn has_wrapper_rules(&self) -> bool {
        false
    }

    fn inetd_wraps(&self) -> bool {
        false
    }

    fn has_foreign_unit(&self, _: &str) -> bool {
        false
    }

    fn runs(&self, _: SuperServer) -> Option<bool> {
        None
    }

    fn has_ipv6(&self) -> bool {
        true
    }

    fn inside(&self, path: &Path) -> PathBuf {
        path.into()
    }
}

/// Whatever a configuration contains, the units made of it are whole, and each service has one command.
pub fn import(data: &[u8]) {
    let path = Rc::from(Path::new("/etc/x.conf"));
    let mut items = xinetd::parse(&path, data).items;
    items.extend(xinetd::parse_inetd_conf(&path, data).items);
    let dialects = [Dialect::OpenBsd, Dialect::Inetutils, Dialect::FreeBsd];
    let files = dialects.map(|dialect| inetd::parse(&path, data, dialect, &FixedSystem));
    let loaded = Loaded {
        xinetd: xinetd::evaluate(&items, &FixedSystem),
        inetd: files.into(),
        ..Loaded::default()
    };
    for tcpd in [false, true] {
        let converted = convert(&loaded, &Everything, Options { tcpd }, &|_| true);
        for unit in converted.services.iter().flat_map(|service| &service.units) {
            assert!(unit.text.starts_with(MADE));
            let file = UnitFile::parse(unit.text.as_bytes());
            assert_eq!(file.problems, [], "{}", unit.text);
            let mut commands = Vec::new();
            for assignment in &file.assignments {
                let known = ["Unit", "Socket", "Service", "Install", "X-Sockunit"];
                assert!(
                    known.contains(&assignment.section.as_str()),
                    "{}",
                    unit.text
                );
                if assignment.key.starts_with("Exec") {
                    commands.extend(command_lines(&assignment.value).unwrap());
                }
            }
            let is_service = unit.name.ends_with(".service");
            assert_eq!(commands.len(), usize::from(is_service), "{}", unit.text);
            // That of `sockunit serve`, of systemd-socket-proxyd, or a server that listens itself.
            let is_absolute = |command: &CommandLine| command.program.starts_with('/');
            assert!(commands.iter().all(is_absolute), "{}", unit.text);
        }
    }
}
