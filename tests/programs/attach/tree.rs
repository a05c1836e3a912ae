//! Systems without a service manager, of a few files each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::tool;
use crate::tree;

/// Machine numbers of the ELF format. The architecture of a tree is that of its /bin/sh, whatever machine the tests
/// run on.
pub const X86_64: u8 = 62;
pub const ARM64: u8 = 183;

pub const SERVICES: &str = "ssh 22/tcp\nhttp 80/tcp www\n";

/// A system without a service manager.
pub struct Tree(pub tree::Tree);

/// How a run of the tool ended.
pub struct Done {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Tree {
    pub fn new(name: &str) -> Tree {
        let tree = Tree(tree::Tree::new(&format!("attach-{name}")));
        tree.write("etc/services", 0o644, SERVICES);
        tree.write(
            "etc/passwd",
            0o644,
            "ann:x:4321:4321::/home/ann:/bin/sh\n_taken:x:99:99::/:/bin/false\n",
        );
        tree.write("etc/group", 0o644, "ann:x:4321:\n");
        tree.write("bin/sh", 0o755, elf(X86_64, None));
        tree.write("usr/bin/env", 0o755, elf(X86_64, None));
        tree.write("usr/libexec/sockunit/serve", 0o755, elf(X86_64, None));
        tree.write("home/you/hello.sh", 0o755, "#!/bin/sh\necho hello\n");
        tree.mode("home/you", 0o700);
        for folder in [
            "etc/systemd/system/sockets.target.wants",
            "etc/systemd/user/sockets.target.wants",
        ] {
            std::fs::create_dir_all(tree.0.join(folder)).unwrap();
        }
        tree
    }

    pub fn write(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) {
        self.0.write(path, content).set_mode(path, mode);
    }

    pub fn mode(&self, path: &str, mode: u32) {
        self.0.set_mode(path, mode);
    }

    pub fn read(&self, path: &str) -> String {
        self.0.read(path)
    }

    pub fn run(&self, command: &str, arguments: &[&str]) -> Done {
        let output = tool::on(&self.0, &[command], arguments);
        Done {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub fn add(&self, arguments: &[&str]) -> String {
        let done = self.run("add", arguments);
        assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
        done.stdout
    }

    #[track_caller]
    pub fn remove(&self, arguments: &[&str]) -> String {
        let done = self.run("remove", arguments);
        assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""));
        done.stdout
    }

    /// Every path with its mode and its content.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        self.0.snapshot()
    }
}

/// The header of a program for a machine, with a dynamic loader if it has one.
pub fn elf(machine: u8, loader: Option<&str>) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(64, 0);
    bytes[16] = 2;
    bytes[18] = machine;
    bytes[32] = 64;
    bytes[54] = 56;
    if let Some(loader) = loader {
        bytes[56] = 1;
        let mut entry = [0; 56];
        entry[0] = 3;
        entry[8] = 120;
        entry[32] = loader.len() as u8 + 1;
        bytes.extend(entry);
        bytes.extend(loader.as_bytes());
        bytes.push(0);
    }
    bytes
}
