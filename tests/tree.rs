//! A system in a directory of its own, for the tests of the library and of the programs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A root directory; dropping it removes it.
pub struct Tree(PathBuf);

impl Tree {
    /// An empty one. The name is the test's own.
    pub fn new(name: &str) -> Tree {
        let root = std::env::temp_dir().join(format!("sockunit-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("etc")).unwrap();
        Tree(root)
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// A path of the tree, `/etc/services` for one, as a path from here.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Tree {
        fs::write(self.with_folders(path), content).unwrap();
        self
    }

    /// Makes a symbolic link, with the folders above it.
    #[allow(dead_code)]
    pub fn link(&self, path: &str, target: &str) -> &Tree {
        symlink(target, self.with_folders(path)).unwrap();
        self
    }

    /// The text of a file.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn with_folders(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
