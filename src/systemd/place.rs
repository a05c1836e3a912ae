//! The unit directories of a system or of a user.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use crate::hint::ShellCommand;
use crate::root::{OwnPath, inside, trace};

/// Which service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The system manager.
    System,
    /// A user manager (`--user`).
    User,
}

impl Scope {
    /// The option that names it, of systemctl, journalctl and sockunit.
    pub(crate) fn option(self) -> &'static [&'static str] {
        match self {
            Scope::System => &[],
            Scope::User => &["--user"],
        }
    }
}

/// The XDG base directories of the calling user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct UserDirs {
    config: Option<PathBuf>,
    data: Option<PathBuf>,
    runtime: Option<PathBuf>,
}

/// The units of one service manager, in the running system or in one below another root directory.
///
/// In the running system [`Scope::User`] means the calling user, including the directories in their
/// home. Below another root it means the directories for all users of that system, such as
/// etc/systemd/user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The root directory of the system.
    pub(crate) root: PathBuf,
    pub(crate) scope: Scope,
    user_dirs: UserDirs,
}

impl Place {
    pub(crate) fn new(root: impl Into<PathBuf>, scope: Scope) -> Place {
        let root = root.into();
        let user_dirs = if scope == Scope::User && is_live(&root) {
            UserDirs::of_caller()
        } else {
            UserDirs::default()
        };
        Place {
            root,
            scope,
            user_dirs,
        }
    }

    /// Whether this is the running system, which has a service manager.
    pub(crate) fn live(&self) -> bool {
        is_live(&self.root)
    }

    /// A path of the system, such as `/etc/services`, with the root directory before it.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The real path of a file of this place, such as a unit, for a command; `None` if others can change it.
    pub(crate) fn own_path(&self, path: &Path) -> Option<OwnPath> {
        OwnPath::real(&self.root, &inside(&self.root, path))
    }

    /// The same for a directory entry, which may be a symbolic link.
    pub(crate) fn own_entry(&self, path: &Path) -> Option<OwnPath> {
        OwnPath::entry(&self.root, &inside(&self.root, path))
    }

    /// A command of sockunit with this root directory, unless it is the running system.
    pub(crate) fn with_root(&self, command: ShellCommand) -> ShellCommand {
        match self.live() {
            true => command,
            false => command.path_option("--root", self.own_path(&self.root)),
        }
    }

    /// The directory for units of the administrator or the user. sockunit adds units there.
    pub(crate) fn own_folder(&self) -> PathBuf {
        match (self.scope, &self.user_dirs.config) {
            (Scope::System, _) => self.path("/etc/systemd/system"),
            (Scope::User, Some(config)) => config.join("systemd/user"),
            (Scope::User, None) => self.path("/etc/systemd/user"),
        }
    }

    /// The first directory on the way to `folder` that belongs to another user, if root is to change files of
    /// root's own service manager: it may contain symbolic links. The environment names such directories,
    /// as after `sudo -E`.
    pub(crate) fn foreign_directory(&self, folder: &Path) -> Option<PathBuf> {
        if !self.live() || self.scope == Scope::System || !Uid::effective().is_root() {
            return None;
        }
        let mut passed = match trace(&self.root, folder) {
            Ok(traced) => {
                let end = (traced.real().to_owned(), traced.status.clone());
                let mut directories = traced.directories;
                directories.push(end);
                directories
            }
            // The rest does not exist.
            Err(error) => error.directories,
        };
        passed.retain(|(_, stat)| stat.uid() != 0);
        passed.into_iter().next().map(|(path, _)| path)
    }

    /// The unit search path (systemd.unit(5)). If several directories have a file name, the first one
    /// counts. Some of them may not exist.
    pub(crate) fn unit_dirs(&self) -> Vec<PathBuf> {
        match self.scope {
            Scope::System => self.system_unit_dirs(),
            Scope::User => self.user_unit_dirs(),
        }
    }

    fn system_unit_dirs(&self) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = [
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
        .map(|dir| self.path(dir))
        .collect();
        // If /lib is a link to usr/lib, it is the same directory.
        let lib = self.path("/lib");
        if fs::symlink_metadata(&lib).is_ok_and(|lib| lib.is_dir()) {
            dirs.push(lib.join("systemd/system"));
        }
        dirs.push(self.path("/run/systemd/generator.late"));
        dirs
    }

    fn user_unit_dirs(&self) -> Vec<PathBuf> {
        let UserDirs {
            config,
            data,
            runtime,
        } = &self.user_dirs;
        let below = |dir: &Option<PathBuf>, path: &str| dir.as_ref().map(|dir| dir.join(path));
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

impl UserDirs {
    fn of_caller() -> UserDirs {
        let set = |name: &str| {
            let path = PathBuf::from(env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let home = set("HOME").or_else(|| User::from_uid(Uid::effective()).ok()?.map(|u| u.dir));
        let below = |path: &str| home.as_ref().map(|home| home.join(path));
        UserDirs {
            config: set("XDG_CONFIG_HOME").or_else(|| below(".config")),
            data: set("XDG_DATA_HOME").or_else(|| below(".local/share")),
            runtime: Some(runtime()),
        }
    }
}

/// The runtime directory of the calling user, even if XDG_RUNTIME_DIR is not set, as after su(1).
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
    fn directories_of_the_administrator_come_before_those_of_packages() {
        let place = Place::new("/tree", Scope::System);
        assert!(!place.live());
        let dirs = place.unit_dirs();
        let at = |path: &str| dirs.iter().position(|f| f == Path::new(path)).unwrap();
        assert!(at("/tree/etc/systemd/system") < at("/tree/run/systemd/system"));
        assert!(at("/tree/run/systemd/system") < at("/tree/usr/lib/systemd/system"));
        assert!(dirs.contains(&place.own_folder()));
    }

    #[test]
    fn below_another_root_the_user_scope_is_for_all_users() {
        let place = Place::new("/tree", Scope::User);
        assert_eq!(place.own_folder(), Path::new("/tree/etc/systemd/user"));
        assert!(place.unit_dirs().iter().all(|f| f.starts_with("/tree")));
    }

    #[test]
    fn in_the_running_system_the_user_scope_is_the_caller() {
        let place = Place::new("/", Scope::User);
        assert!(place.live());
        assert!(place.own_folder().ends_with("systemd/user"));
        assert!(!place.own_folder().starts_with("/etc"));
        assert!(place.unit_dirs().contains(&place.own_folder()));
        assert!(place.unit_dirs().contains(&"/etc/systemd/user".into()));
    }
}
