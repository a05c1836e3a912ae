//! The files of xinetd and inetd, in which services are disabled and enabled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::ApplyError;
use crate::root::{replace_file, resolve};
use crate::superserver::switch::{self, Entry};

/// A service in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Old {
    /// The file's real path.
    pub(super) file: PathBuf,
    pub(super) entry: Entry,
}

/// The files as they were read. One that is not as it was read, but for what was switched since, is not changed:
/// the numbers of lines would be wrong.
#[derive(Debug)]
pub(super) struct Files<'a> {
    root: &'a Path,
    files: BTreeMap<PathBuf, File>,
}

#[derive(Debug, Default)]
struct File {
    text: Vec<u8>,
    switched: Vec<(Entry, bool)>,
}

impl File {
    /// The text with these services switched.
    fn with(&self, switched: &[(Entry, bool)]) -> Vec<u8> {
        switch::switched(&self.text, switched).unwrap_or_else(|| self.text.clone())
    }
}

impl<'a> Files<'a> {
    pub(super) fn new(root: &'a Path, texts: BTreeMap<PathBuf, Vec<u8>>) -> Files<'a> {
        let file = |text| File {
            text,
            switched: Vec::new(),
        };
        let files = texts.into_iter();
        Files {
            root,
            files: files.map(|(path, text)| (path, file(text))).collect(),
        }
    }

    /// A service of a file that was read.
    pub(super) fn old(&self, file: &Path, entry: Entry) -> Old {
        Old {
            file: resolve(self.root, file).unwrap_or_else(|_| file.into()),
            entry,
        }
    }

    /// Whether import has disabled a service.
    pub(super) fn is_disabled(&self, old: &Old) -> bool {
        let Some(file) = self.files.get(&old.file) else {
            return false;
        };
        let now = file.switched.iter().find(|(entry, _)| *entry == old.entry);
        match now {
            Some((_, disable)) => *disable,
            None => switch::is_disabled(&file.text, old.entry) == Some(true),
        }
    }

    /// Disables services, or enables them again. Returns the files that have changed, also if another one could not be changed.
    pub(super) fn switch(
        &mut self,
        all: &[Old],
        disable: bool,
    ) -> (Vec<PathBuf>, Result<(), ApplyError>) {
        let mut changed = Vec::new();
        let mut result = Ok(());
        let mut paths: Vec<&PathBuf> = all.iter().map(|old| &old.file).collect();
        paths.sort();
        paths.dedup();
        for path in paths {
            let entries = all.iter().filter(|old| old.file == *path);
            let entries: Vec<Entry> = entries.map(|old| old.entry).collect();
            match self.switch_in(path, &entries, disable) {
                Ok(true) => changed.push(path.clone()),
                Ok(false) => {}
                Err(error) => result = result.and(Err(error)),
            }
        }
        (changed, result)
    }

    fn switch_in(
        &mut self,
        path: &Path,
        entries: &[Entry],
        disable: bool,
    ) -> Result<bool, ApplyError> {
        let changed = || ApplyError::Changed(path.into());
        let file = self.files.get_mut(path).ok_or_else(changed)?;
        if entries
            .iter()
            .any(|entry| switch::is_disabled(&file.text, *entry).is_none())
        {
            return Err(changed());
        }
        let mut switched = file.switched.clone();
        switched.retain(|(entry, _)| !entries.contains(entry));
        switched.extend(entries.iter().map(|entry| (*entry, disable)));
        let (now, wanted) = (file.with(&file.switched), file.with(&switched));
        if now != wanted {
            let mut is_as_read = true;
            replace_file(self.root, path, |bytes| {
                is_as_read = bytes == now;
                is_as_read.then(|| wanted.clone())
            })
            .map_err(|error| ApplyError::File(path.into(), error))?;
            if !is_as_read {
                return Err(changed());
            }
        }
        file.switched = switched;
        Ok(now != wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    const TEXT: &str = "a stream tcp nowait root /bin/a\nb stream tcp nowait root /bin/b\n";

    #[test]
    fn a_file_that_has_changed_since_it_was_read_is_left_alone() {
        let tree = Tree::new("switched");
        tree.write("etc/inetd.conf", TEXT);
        let path = tree.path("etc/inetd.conf");
        let texts = BTreeMap::from([(path.clone(), TEXT.into())]);
        let mut files = Files::new(tree.root(), texts);
        let [a, b] = [1, 2].map(|line| files.old(&path, Entry::Inetd(line)));
        let (changed, result) = files.switch(std::slice::from_ref(&a), true);
        assert!(result.is_ok() && files.is_disabled(&a) && !files.is_disabled(&b));
        assert_eq!(changed, std::slice::from_ref(&path));
        // The numbers of lines are still those of the file that was read.
        let (_, result) = files.switch(std::slice::from_ref(&b), true);
        assert!(result.is_ok());
        let now = tree.read("etc/inetd.conf");
        assert_eq!(now.matches("#<off># ").count(), 2, "{now}");
        let edited = format!("new {now}");
        tree.write("etc/inetd.conf", &edited);
        let (changed, result) = files.switch(&[a.clone(), b.clone()], false);
        assert!(changed.is_empty());
        assert!(matches!(result, Err(ApplyError::Changed(_))));
        assert_eq!(tree.read("etc/inetd.conf"), edited);
        tree.write("etc/inetd.conf", &now);
        let (_, result) = files.switch(&[a, b], false);
        assert!(result.is_ok());
        assert_eq!(tree.read("etc/inetd.conf"), TEXT);
    }
}
