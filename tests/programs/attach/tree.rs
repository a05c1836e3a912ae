//! Systems without a running manager, made of a few files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::tool;

pub const SERVICES: &str = "ssh 22/tcp\nhttp 80/tcp www\n";

/// A system without a running manager.
pub struct Tree(pub PathBuf);

/// What a run of the tool came to.
pub struct Done {
    pub status: Option<i32>,
    pub said: String,
    pub complained: String,
}

impl Tree {
    pub fn new(name: &str) -> Tree {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("attach-{name}"));
        let _ = fs::remove_dir_all(&root);
        let tree = Tree(root);
        tree.write("etc/services", 0o644, SERVICES);
        tree.write(
            "etc/passwd",
            0o644,
            "ann:x:4321:4321::/home/ann:/bin/sh\n_taken:x:99:99::/:/bin/false\n",
        );
        tree.write("bin/sh", 0o755, elf(62, None));
        tree.write("usr/bin/env", 0o755, elf(62, None));
        tree.write("usr/bin/sockunit", 0o755, elf(62, None));
        tree.write("home/you/hello.sh", 0o755, "#!/bin/sh\necho hello\n");
        tree.mode("home/you", 0o700);
        for folder in [
            "etc/systemd/system/sockets.target.wants",
            "etc/systemd/user/sockets.target.wants",
        ] {
            fs::create_dir_all(tree.0.join(folder)).unwrap();
        }
        tree
    }

    pub fn write(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) {
        let file = self.0.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        self.mode(path, mode);
    }

    pub fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.0.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    pub fn run(&self, command: &str, arguments: &[&str]) -> Done {
        let output = tool::on(&self.0, &[command], arguments);
        Done {
            status: output.status.code(),
            said: String::from_utf8(output.stdout).unwrap(),
            complained: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub fn add(&self, arguments: &[&str]) -> String {
        let done = self.run("add", arguments);
        assert_eq!((done.status, done.complained.as_str()), (Some(0), ""));
        done.said
    }

    #[track_caller]
    pub fn remove(&self, arguments: &[&str]) -> String {
        let done = self.run("remove", arguments);
        assert_eq!((done.status, done.complained.as_str()), (Some(0), ""));
        done.said
    }

    /// Every path with its mode and its bytes, or where it leads.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut all = BTreeMap::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let stat = fs::symlink_metadata(&path).unwrap();
                let content = if stat.is_symlink() {
                    fs::read_link(&path)
                        .unwrap()
                        .into_os_string()
                        .into_encoded_bytes()
                } else if stat.is_dir() {
                    folders.push(path.clone());
                    Vec::new()
                } else {
                    fs::read(&path).unwrap()
                };
                all.insert(path, (stat.permissions().mode(), content));
            }
        }
        all
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
