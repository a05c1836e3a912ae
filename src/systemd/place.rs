//! Whose units, and where they lie.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

/// Whose service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The system's own.
    System,
    /// A user's.
    User,
}

/// Folders of the calling user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Own {
    config: Option<PathBuf>,
    data: Option<PathBuf>,
    runtime: Option<PathBuf>,
}

/// A set of units: whose, and in which system.
///
/// In the running system the scope [`Scope::User`] means the caller, with the folders in their
/// home. In a system below another root the caller has no home, so there it means what is for all
/// users of that system: etc/systemd/user and what comes behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The directory in which the system is.
    pub root: PathBuf,
    /// Whose units.
    pub scope: Scope,
    own: Own,
}

impl Place {
    /// The units of a scope in the system below `root`.
    pub fn new(root: impl Into<PathBuf>, scope: Scope) -> Place {
        let root = root.into();
        let own = if scope == Scope::User && is_live(&root) {
            Own::of_caller()
        } else {
            Own::default()
        };
        Place { root, scope, own }
    }

    /// Whether this is the running system, so that there is a service manager to ask.
    pub fn live(&self) -> bool {
        is_live(&self.root)
    }

    /// A path of the system, `/etc/services` for one, as a path from here.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Where an administrator, or the user, keeps units: what is added goes there.
    pub fn own_folder(&self) -> PathBuf {
        match (self.scope, &self.own.config) {
            (Scope::System, _) => self.path("/etc/systemd/system"),
            (Scope::User, Some(config)) => config.join("systemd/user"),
            (Scope::User, None) => self.path("/etc/systemd/user"),
        }
    }

    /// Where units are looked for, the first one that has a file of a name wins. Not all of them
    /// need exist.
    pub fn folders(&self) -> Vec<PathBuf> {
        match self.scope {
            Scope::System => self.system_folders(),
            Scope::User => self.user_folders(),
        }
    }

    fn system_folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = [
            "/etc/systemd/system.control",
            "/run/systemd/system.control",
            "/run/systemd/transient",
            "/run/systemd/generator.early",
            "/etc/systemd/system",
            "/etc/systemd/system.attached",
            "/run/systemd/system",
            "/run/systemd/system.attached",
            "/run/systemd/generator",
            "/usr/local/lib/systemd/system",
            "/usr/lib/systemd/system",
        ]
        .iter()
        .map(|folder| self.path(folder))
        .collect();
        // Where /lib is a link to usr/lib it names the same folder once more.
        let lib = self.path("/lib");
        if fs::symlink_metadata(&lib).is_ok_and(|lib| lib.is_dir()) {
            folders.push(lib.join("systemd/system"));
        }
        folders.push(self.path("/run/systemd/generator.late"));
        folders
    }

    fn user_folders(&self) -> Vec<PathBuf> {
        let Own {
            config,
            data,
            runtime,
        } = &self.own;
        let below = |folder: &Option<PathBuf>, path: &str| folder.as_ref().map(|f| f.join(path));
        let all = |path: &str| Some(self.path(path));
        [
            below(config, "systemd/user.control"),
            below(runtime, "systemd/user.control"),
            below(runtime, "systemd/transient"),
            below(runtime, "systemd/generator.early"),
            below(config, "systemd/user"),
            all("/etc/xdg/systemd/user"),
            all("/etc/systemd/user"),
            below(runtime, "systemd/user"),
            all("/run/systemd/user"),
            below(runtime, "systemd/generator"),
            below(data, "systemd/user"),
            all("/usr/local/share/systemd/user"),
            all("/usr/share/systemd/user"),
            all("/usr/local/lib/systemd/user"),
            all("/usr/lib/systemd/user"),
            below(runtime, "systemd/generator.late"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Own {
    fn of_caller() -> Own {
        let set = |name: &str| {
            let path = PathBuf::from(env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let home = set("HOME").or_else(|| User::from_uid(Uid::effective()).ok()?.map(|u| u.dir));
        let below = |path: &str| home.as_ref().map(|home| home.join(path));
        Own {
            config: set("XDG_CONFIG_HOME").or_else(|| below(".config")),
            data: set("XDG_DATA_HOME").or_else(|| below(".local/share")),
            runtime: Some(runtime()),
        }
    }
}

/// The caller's runtime directory, also where the variable is not set, after su for one.
pub(crate) fn runtime() -> PathBuf {
    match env::var_os("XDG_RUNTIME_DIR") {
        Some(path) if !path.is_empty() => path.into(),
        _ => format!("/run/user/{}", Uid::effective()).into(),
    }
}

fn is_live(root: &Path) -> bool {
    root == Path::new("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_administrator_writes_comes_before_what_packages_bring() {
        let place = Place::new("/tree", Scope::System);
        assert!(!place.live());
        let folders = place.folders();
        let at = |path: &str| folders.iter().position(|f| f == Path::new(path)).unwrap();
        assert!(at("/tree/etc/systemd/system") < at("/tree/run/systemd/system"));
        assert!(at("/tree/run/systemd/system") < at("/tree/usr/lib/systemd/system"));
        assert!(folders.contains(&place.own_folder()));
    }

    #[test]
    fn in_a_tree_the_users_are_all_of_that_system() {
        let place = Place::new("/tree", Scope::User);
        assert_eq!(place.own_folder(), Path::new("/tree/etc/systemd/user"));
        assert!(place.folders().iter().all(|f| f.starts_with("/tree")));
    }

    #[test]
    fn in_the_running_system_the_user_is_the_caller() {
        let place = Place::new("/", Scope::User);
        assert!(place.live());
        assert!(place.own_folder().ends_with("systemd/user"));
        assert!(!place.own_folder().starts_with("/etc"));
        assert!(place.folders().contains(&place.own_folder()));
        assert!(place.folders().contains(&"/etc/systemd/user".into()));
    }
}
