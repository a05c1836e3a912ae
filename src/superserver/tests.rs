//! Golden trees for the reading of xinetd's files.
//!
//! Each directory of tests/golden/xinetd is a system with a few users and programs (see
//! [`base`]) and its own etc. After an intended change, `SOCKUNIT_BLESS=1 cargo test golden` writes
//! the files expected.txt; read the difference.

use std::fmt::Write;
use std::path::Path;
use std::rc::Rc;

use proptest::prelude::*;

use super::fixed_system::{FixedSystem, SERVICES};
use super::xinetd::{self, Service};
use super::{Loaded, load};
use crate::log::reason;
use crate::systemd::{Place, Scope};
use crate::tree::{Tree, assert_golden, golden_names};

/// A system with what the golden files name.
fn base(name: &str) -> Tree {
    let tree = Tree::new(&format!("xinetd-{name}"));
    tree.write("etc/services", SERVICES)
        .write(
            "etc/protocols",
            "ip 0 IP\ntcp 6 TCP\nudp 17 UDP\nsctp 132 SCTP\n",
        )
        .write(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nnobody:x:99:99::/:/bin/sh\n",
        )
        .write("etc/group", "root:x:0:\nnogroup:x:99:\n")
        .write(
            "etc/hosts",
            "127.0.0.1 localhost\n::1 localhost\n192.0.2.7 seven\n",
        )
        .write("etc/networks", "loopback 127.0.0.0\n")
        .write("etc/rpc", "rstatd 100001 rstat rup\n");
    for program in ["bin/cat", "bin/sh", "usr/sbin/xinetd"] {
        tree.write(program, "").set_mode(program, 0o755);
    }
    tree
}

fn loaded(tree: &Tree) -> Loaded {
    load(&Place::new(tree.root(), Scope::System))
}

/// Everything that was read, as text.
fn shown(tree: &Tree) -> String {
    let loaded = loaded(tree);
    let mut text = String::new();
    for service in &loaded.xinetd.services {
        show(service, &mut text);
    }
    for note in &loaded.xinetd.notes {
        writeln!(text, "note: {}: {note}", note.position).unwrap();
    }
    for (path, error) in &loaded.unread {
        let is_inetd = path.to_string_lossy().contains("/inetd.");
        if !is_inetd {
            writeln!(text, "unread: {}: {}", path.display(), reason(error)).unwrap();
        }
    }
    text.replace(&tree.root().display().to_string(), "")
}

fn show(service: &Service, text: &mut String) {
    let Service {
        name, id, socket, ..
    } = service;
    writeln!(text, "{name} (id {id}) {}", service.position).unwrap();
    match &service.refusal {
        None => text.push_str("  served:"),
        Some(refusal) => write!(text, "  not served: {refusal};").unwrap(),
    }
    let kind = socket.kind.as_deref().unwrap_or("-");
    let protocol = socket.protocol.as_ref().map_or("-", |(name, _)| name);
    let port = socket.port.map_or("-".into(), |port| port.to_string());
    writeln!(text, " {kind} {protocol} port {port} {:?}", socket.address).unwrap();
    for (name, setting) in &service.settings {
        write!(text, "  {name} =").unwrap();
        for (index, value) in setting.values.iter().enumerate() {
            write!(text, " {value}").unwrap();
            if let Some(pattern) = setting.patterns.get(index) {
                write!(text, "[{pattern}]").unwrap();
            }
        }
        let inherited = if setting.inherited { ", inherited" } else { "" };
        writeln!(text, " ({}{inherited})", setting.position).unwrap();
    }
    for note in &service.notes {
        writeln!(text, "  note: {}: {note}", note.position).unwrap();
    }
}

#[test]
fn golden_trees_are_read_as_xinetd_reads_them() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/xinetd");
    let names = golden_names(&golden);
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let tree = base(&name);
        tree.copy(&golden.join(&name).join("etc"), "etc");
        assert_golden(&golden.join(&name).join("expected.txt"), &shown(&tree));
    }
}

#[test]
fn a_file_that_includes_itself_is_read_once() {
    let tree = base("recursion");
    tree.write("etc/xinetd.conf", "include /etc/a\nincludedir /etc/d\n")
        .write("etc/a", "include /etc/xinetd.conf\n")
        .link("etc/d/b", "../a");
    let notes = loaded(&tree).xinetd.notes;
    let notes: Vec<_> = notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes, ["the file includes itself"; 2]);
}

#[test]
fn an_included_link_does_not_lead_out_of_the_root() {
    let outside = base("outside");
    outside.write("secret", "service outside\n{\n}\n");
    let tree = base("inside");
    let secret = outside.path("secret");
    tree.write("etc/xinetd.conf", "includedir /etc/d\n")
        .link("etc/d/a", secret.to_str().unwrap());
    let loaded = loaded(&tree);
    assert!(loaded.xinetd.services.is_empty());
    let unread: Vec<_> = loaded.unread.iter().map(|(path, _)| path.clone()).collect();
    assert!(unread.contains(&tree.path("etc/d/a")), "{unread:?}");
}

fn evaluated(text: &[u8]) -> xinetd::Configuration {
    let file = xinetd::parse(&Rc::from(Path::new("/etc/xinetd.conf")), text);
    xinetd::evaluate(&file.items, &FixedSystem)
}

proptest! {
    #[test]
    fn any_bytes_can_be_evaluated(bytes: Vec<u8>) {
        evaluated(&bytes);
    }

    #[test]
    fn any_attributes_can_be_evaluated(
        lines in prop::collection::vec(
            "(disable|port|wait|only_from|no_access|flags|type|env|log_type|umask|bind|cps|redirect|\
              access_times|max_load|rlimit_as|id|enabled|disabled|protocol|socket_type|user|server) \
             [+-]?= ?(yes|no|[0-9./:{},-]{0,9}|[A-Z]{1,9}|IPv4|SENSOR|UNLISTED|INTERNAL|RPC|tcp|stream|dgram|a=b| ){0,3}",
            0..12,
        ),
    ) {
        let lines = lines.join("\n");
        evaluated(format!("defaults\n{{\n{lines}\n}}\nservice time\n{{\n{lines}\n}}\n").as_bytes());
    }
}
