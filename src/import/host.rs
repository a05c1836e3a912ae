//! What a conversion has to know of the system.

use std::io;
use std::path::{Path, PathBuf};

use crate::attach;
use crate::executable::{Access, RunAs, Visibility, check_readable, group_id, user_exists};
use crate::root::{read, trace};
use crate::superserver::{INETD_UNITS, XINETD_UNIT, fields, inetd_wraps, is_active};
use crate::systemd::{Manager, Place};

use super::SuperServer;

/// Answers of the system that the units are for.
pub(crate) trait Host {
    /// The name of the user with this number.
    fn user_name(&self, uid: u32) -> Option<String>;

    /// The name of the group with this number.
    fn group_name(&self, gid: u32) -> Option<String>;

    fn has_user(&self, name: &str) -> bool;

    /// The number of a user.
    fn user_number(&self, name: &str) -> Option<u32>;

    fn has_group(&self, name: &str) -> bool;

    /// The group that the entry of a user has.
    fn own_group(&self, user: &str) -> Option<String>;

    /// The groups of a user beside its own.
    fn groups(&self, user: &str) -> Vec<String>;

    /// The size of a file that this user can read; `None` is a dynamic user in the strict sandbox.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    fn readable(&self, path: &Path, user: Option<&str>) -> Result<u64, String>;

    /// Whether everybody can read a file of the configuration, as everybody can read units.
    fn is_public(&self, path: &Path) -> bool;

    /// Whether there is such an executable file.
    fn is_executable(&self, path: &str) -> bool;

    /// Whether hosts.allow or hosts.deny have rules, or cannot be read.
    fn has_wrapper_rules(&self) -> bool;

    /// Whether inetd applies these rules.
    fn inetd_wraps(&self) -> bool;

    /// Whether a unit has this name that sockunit did not write.
    fn has_foreign_unit(&self, name: &str) -> bool;

    /// Whether the program runs and reads its files; `None` if that cannot be known.
    fn runs(&self, program: SuperServer) -> Option<bool>;

    /// Whether its kernel has IPv6, as far as that can be known.
    fn has_ipv6(&self) -> bool;

    /// A file as it is in that system.
    fn inside(&self, path: &Path) -> PathBuf;
}

/// A system below a root directory.
pub(crate) struct Root<'a> {
    pub(crate) place: &'a Place,
}

impl Root<'_> {
    fn text(&self, file: &str) -> Vec<u8> {
        read(&self.place.root, &self.place.path(file)).unwrap_or_default()
    }

    /// The lines of etc/passwd or etc/group with their fields.
    fn lines(&self, file: &str) -> Vec<Vec<String>> {
        let text = self.text(file);
        let text = String::from_utf8_lossy(&text);
        let fields = |line: &str| line.split(':').map(str::to_owned).collect();
        text.lines().map(fields).collect()
    }

    /// The name of the entry with this number.
    fn named(&self, file: &str, number: u32) -> Option<String> {
        let mut lines = self.lines(file).into_iter();
        let is_it = |line: &Vec<String>| line.get(2).is_some_and(|id| *id == number.to_string());
        lines.find(is_it)?.into_iter().next()
    }
}

impl Host for Root<'_> {
    fn user_name(&self, uid: u32) -> Option<String> {
        self.named("etc/passwd", uid)
    }

    fn group_name(&self, gid: u32) -> Option<String> {
        self.named("etc/group", gid)
    }

    fn has_user(&self, name: &str) -> bool {
        user_exists(&self.place.root, name)
    }

    fn user_number(&self, name: &str) -> Option<u32> {
        let mut lines = self.lines("etc/passwd").into_iter();
        let line = lines.find(|line| line.first().is_some_and(|first| first == name))?;
        line.get(2)?.parse().ok()
    }

    fn own_group(&self, user: &str) -> Option<String> {
        let mut lines = self.lines("etc/passwd").into_iter();
        let line = lines.find(|line| line.first().is_some_and(|first| first == user))?;
        self.group_name(line.get(3)?.parse().ok()?)
    }

    fn has_group(&self, name: &str) -> bool {
        group_id(&self.place.root, name).is_some()
    }

    fn groups(&self, user: &str) -> Vec<String> {
        let lines = self.lines("etc/group").into_iter();
        let names = lines.filter_map(|line| {
            let members = line.get(3)?;
            let is_member = members.split(',').any(|member| member == user);
            is_member.then(|| line.into_iter().next())?
        });
        names.collect()
    }

    fn readable(&self, path: &Path, user: Option<&str>) -> Result<u64, String> {
        let root = &self.place.root;
        let run_as = match user {
            Some(user) => RunAs::named(root, user).ok_or("there is no such user")?,
            None => RunAs::dynamic(),
        };
        let is_hidden = user.is_none();
        let visibility = Visibility {
            homes_hidden: is_hidden,
            tmp_hidden: is_hidden,
            native_only: false,
        };
        check_readable(root, path, &run_as, visibility).map_err(|error| error.problem)
    }

    fn is_public(&self, path: &Path) -> bool {
        let other = RunAs::dynamic();
        trace(&self.place.root, &self.inside(path)).is_ok_and(|traced| {
            // The root of a system in a directory may be closed, which says nothing about that system.
            let mut directories = traced.directories.iter().skip(1);
            directories.all(|(_, directory)| other.may(Access::Execute, directory))
                && other.may(Access::Read, &traced.status)
        })
    }

    fn is_executable(&self, path: &str) -> bool {
        trace(&self.place.root, Path::new(path)).is_ok_and(|traced| traced.status.is_file())
    }

    fn has_wrapper_rules(&self) -> bool {
        ["etc/hosts.allow", "etc/hosts.deny"].iter().any(|file| {
            match read(&self.place.root, &self.place.path(file)) {
                Ok(text) => fields(&text).any(|fields| !fields.is_empty()),
                Err(error) => error.kind() != io::ErrorKind::NotFound,
            }
        })
    }

    fn inetd_wraps(&self) -> bool {
        inetd_wraps(self.place)
    }

    fn has_foreign_unit(&self, name: &str) -> bool {
        let script = self.place.path("/etc/init.d").join(name);
        script.exists() || attach::has_foreign_unit(self.place, name)
    }

    fn runs(&self, program: SuperServer) -> Option<bool> {
        let manager = Manager::of(self.place)?;
        match program {
            SuperServer::Xinetd => is_active(&manager, XINETD_UNIT).ok(),
            SuperServer::Inetd => {
                for unit in INETD_UNITS {
                    if is_active(&manager, unit).ok()? {
                        return Some(true);
                    }
                }
                Some(false)
            }
        }
    }

    fn has_ipv6(&self) -> bool {
        let network = self.place.root.join("proc/net");
        !network.exists() || network.join("if_inet6").exists()
    }

    fn inside(&self, path: &Path) -> PathBuf {
        Path::new("/").join(path.strip_prefix(&self.place.root).unwrap_or(path))
    }
}
