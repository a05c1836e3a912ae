//! A file system tree in a temporary directory, for the unit tests and for tests/programs.
// Each of the two uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, setxattr};

/// The extended attribute with the access control list of a file, and that with the list that new files in a directory
/// get.
pub const ACCESS_LIST: &str = "system.posix_acl_access";
pub const DEFAULT_LIST: &str = "system.posix_acl_default";

/// The names in a directory of golden files or trees, sorted.
pub fn golden_names(golden: &Path) -> Vec<String> {
    let entries = fs::read_dir(golden).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Asserts that a text is that of a golden file. With SOCKUNIT_BLESS set, writes the file first.
#[track_caller]
pub fn assert_golden(path: &Path, text: &str) {
    if std::env::var_os("SOCKUNIT_BLESS").is_some() {
        fs::write(path, text).unwrap();
    }
    let name = path.display();
    let expected = fs::read_to_string(path).unwrap_or_else(|e| panic!("{name}: {e}"));
    for (line, expected) in text.lines().zip(expected.lines()) {
        assert_eq!(line, expected, "{name}");
    }
    assert_eq!(text, expected, "{name}");
}

/// A root directory with an empty `etc`. Dropping it removes the directory.
pub struct Tree(PathBuf);

impl Tree {
    /// Creates a tree. Every test passes a name of its own.
    pub fn new(name: &str) -> Tree {
        let root = std::env::temp_dir().join(format!("sockunit-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("etc")).unwrap();
        Tree(root)
    }

    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Where a path of the tree, such as `/etc/services`, is on the machine.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Writes a file and creates its parent directories.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Tree {
        fs::write(self.with_parents(path), content).unwrap();
        self
    }

    /// Copies a directory with everything in it.
    pub fn copy(&self, from: &Path, to: &str) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = format!("{to}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                self.copy(&entry.path(), &target);
            } else {
                self.write(&target, fs::read(entry.path()).unwrap());
            }
        }
    }

    pub fn set_mode(&self, path: &str, mode: u32) -> &Tree {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Sets an access control list for the owner, the user 1000, the group, the mask and others, as acl(5) orders them,
    /// and returns it. It needs a file system with such lists, as ext4, XFS, Btrfs and tmpfs are.
    #[track_caller]
    pub fn set_list(&self, path: &str, name: &str, permissions: [u16; 5]) -> Vec<u8> {
        let mut list = 2u32.to_le_bytes().to_vec();
        for (tag, permission) in [1u16, 2, 4, 0x10, 0x20].into_iter().zip(permissions) {
            let id: u32 = if tag == 2 { 1000 } else { u32::MAX };
            list.extend(tag.to_le_bytes());
            list.extend(permission.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        let set = setxattr(self.path(path), name, &list, XattrFlags::empty());
        set.unwrap_or_else(|error| panic!("{path}: an access control list: {error}"));
        list
    }

    /// Creates a symbolic link and its parent directories.
    pub fn link(&self, path: &str, target: &str) -> &Tree {
        symlink(target, self.with_parents(path)).unwrap();
        self
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Every path with its mode and its content; the content of a link is its target.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut all = BTreeMap::new();
        let mut directories = vec![self.0.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let stat = fs::symlink_metadata(&path).unwrap();
                let content = if stat.is_symlink() {
                    let target = fs::read_link(&path).unwrap();
                    target.into_os_string().into_encoded_bytes()
                } else if stat.is_dir() {
                    directories.push(path.clone());
                    Vec::new()
                } else {
                    fs::read(&path).unwrap()
                };
                all.insert(path, (stat.permissions().mode(), content));
            }
        }
        all
    }

    fn with_parents(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

impl Deref for Tree {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
