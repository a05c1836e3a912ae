//! The user that a program runs as, and what that user may do with a file.

use std::ffi::CString;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{self, AccessFlags, Gid, Group, User};

/// A kind of access to a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read it.
    Read = 4,
    /// Execute the file, or search the directory.
    Execute = 1,
}

/// The user that a program runs as. Its Display is for messages: `the user NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunAs {
    title: String,
    /// `None` for a dynamic user, which owns no file.
    uid: Option<u32>,
    groups: Vec<u32>,
    /// Root with its capabilities, which is exempt from permission checks.
    privileged: bool,
}

impl fmt::Display for RunAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl RunAs {
    /// A dynamic user (`DynamicUser=yes`), which owns no file and is in no group.
    pub(crate) fn dynamic() -> RunAs {
        RunAs {
            title: "the service's user".into(),
            uid: None,
            groups: Vec::new(),
            privileged: false,
        }
    }

    /// A user of the system below `root`, with its groups; `None` if there is no such user. On the
    /// running system a directory service is asked too.
    pub(crate) fn named(root: &Path, name: &str) -> Option<RunAs> {
        let (uid, groups) = match root == Path::new("/") {
            true => of_this_system(name),
            false => of_files(root, name),
        }?;
        Some(RunAs {
            title: format!("the user {name}"),
            uid: Some(uid),
            groups,
            privileged: uid == 0,
        })
    }

    /// The user who runs this process.
    pub(crate) fn own() -> RunAs {
        let uid = unistd::geteuid();
        let mut groups = unistd::getgroups().unwrap_or_default();
        groups.push(unistd::getegid());
        RunAs {
            title: "you".into(),
            uid: Some(uid.as_raw()),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
            privileged: uid.is_root(),
        }
    }

    /// The same user with another primary group, if any.
    #[must_use]
    pub(crate) fn in_group(mut self, group: Option<u32>) -> RunAs {
        self.groups.extend(group);
        self
    }

    /// The same user without capabilities, as in a sandbox that drops those of root too.
    #[must_use]
    pub(crate) fn without_privileges(self) -> RunAs {
        RunAs {
            privileged: false,
            ..self
        }
    }

    /// Whether it is root.
    pub(crate) fn is_root(&self) -> bool {
        self.uid == Some(0)
    }

    /// Whether the file's mode allows the access.
    pub(crate) fn may(&self, access: Access, of: &fs::Metadata) -> bool {
        if self.privileged {
            // Root too executes a file only if its mode has an execute bit.
            return access == Access::Read || of.is_dir() || of.mode() & 0o111 != 0;
        }
        let shift = match self.class(of) {
            'u' => 6,
            'g' => 3,
            _ => 0,
        };
        (of.mode() >> shift) & access as u32 != 0
    }

    /// Whether the running system allows the access, by mode or access control list.
    pub(crate) fn may_here(&self, access: Access, path: &Path, of: &fs::Metadata) -> bool {
        self.may(access, of) || self.kernel_allows(access, path)
    }

    /// Asks the kernel, because an access control list may allow what the mode does not.
    fn kernel_allows(&self, access: Access, path: &Path) -> bool {
        // No list names a dynamic user.
        let Some(uid) = self.uid.filter(|uid| *uid != 0) else {
            return false;
        };
        let (flags, test) = match access {
            Access::Read => (AccessFlags::R_OK, "-r"),
            Access::Execute => (AccessFlags::X_OK, "-x"),
        };
        if uid == unistd::getuid().as_raw() {
            return unistd::access(path, flags).is_ok();
        }
        let Some(group) = self.groups.first() else {
            return false;
        };
        let groups: Vec<String> = self.groups.iter().map(u32::to_string).collect();
        // Only root can become another user; for others this fails, and the mode decides.
        Command::new("/usr/bin/setpriv")
            .arg(format!("--reuid={uid}"))
            .arg(format!("--regid={group}"))
            .arg(format!("--groups={}", groups.join(",")))
            .args(["/usr/bin/test", test])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// The class of users in the file's mode that this user belongs to, as chmod names it.
    pub(crate) fn class(&self, of: &fs::Metadata) -> char {
        if self.uid == Some(of.uid()) {
            'u'
        } else if self.groups.contains(&of.gid()) {
            'g'
        } else {
            'o'
        }
    }
}

/// Whether the system below `root` has a user `name`.
pub(crate) fn exists(root: &Path, name: &str) -> bool {
    RunAs::named(root, name).is_some()
}

/// The ID of a group of the system below `root`.
pub(crate) fn group_id(root: &Path, name: &str) -> Option<u32> {
    match root == Path::new("/") {
        true => Some(Group::from_name(name).ok()??.gid.as_raw()),
        false => group_in(&text(root, "etc/group"), name),
    }
}

fn of_this_system(name: &str) -> Option<(u32, Vec<u32>)> {
    let user = User::from_name(name).ok()??;
    let name = CString::new(name).ok()?;
    let groups = unistd::getgrouplist(&name, user.gid).unwrap_or_else(|_| vec![user.gid]);
    let groups = groups.into_iter().map(Gid::as_raw).collect();
    Some((user.uid.as_raw(), groups))
}

fn of_files(root: &Path, name: &str) -> Option<(u32, Vec<u32>)> {
    user_in(&text(root, "etc/passwd"), &text(root, "etc/group"), name)
}

/// The text of a file below `root`; empty if it cannot be read.
fn text(root: &Path, file: &str) -> String {
    let bytes = crate::root::read(root, &root.join(file)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The ID of a group in the text of group(5).
pub(crate) fn group_in(group: &str, name: &str) -> Option<u32> {
    group.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        found.then(|| fields.nth(1)?.parse().ok())?
    })
}

/// The ID of a user in the text of passwd(5), and those of its groups there and in group(5).
pub(crate) fn user_in(passwd: &str, group: &str, name: &str) -> Option<(u32, Vec<u32>)> {
    let mut fields = passwd
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?
        .skip(1);
    let uid = fields.next()?.parse().ok()?;
    let mut groups = vec![fields.next()?.parse().ok()?];
    for line in group.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if let [_, _, gid, members] = fields[..] {
            if members.split(',').any(|member| member == name) {
                groups.extend(gid.parse::<u32>());
            }
        }
    }
    Some((uid, groups))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("sockunit-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("etc")).unwrap();
        folder
    }

    #[test]
    fn a_user_of_a_tree_has_the_groups_of_that_tree() {
        let root = folder("users");
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nann:x:4321:4322::/home/ann:/bin/sh\n",
        )
        .unwrap();
        fs::write(root.join("etc/group"), "a:x:1:bob\nb:x:7:bob,ann\n").unwrap();
        let ann = RunAs::named(&root, "ann").unwrap();
        assert_eq!((ann.uid, ann.groups), (Some(4321), vec![4322, 7]));
        assert_eq!(RunAs::named(&root, "an"), None);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn only_the_first_class_that_matches_counts() {
        let folder = folder("classes");
        let file = folder.join("file");
        fs::write(&file, "").unwrap();
        let of = |mode| {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            fs::metadata(&file).unwrap()
        };
        let stat = of(0o604);
        let runner = |uid, group| RunAs {
            title: String::new(),
            uid,
            groups: vec![group],
            privileged: false,
        };
        let (owner, member, other) = (
            runner(Some(stat.uid()), 1),
            runner(Some(54321), stat.gid()),
            runner(None, 54321),
        );
        assert!(owner.may(Access::Read, &stat));
        assert!(!member.may(Access::Read, &stat));
        assert!(other.may(Access::Read, &stat));
        assert!(!other.may(Access::Execute, &stat));
        assert!(other.may(Access::Execute, &of(0o001)));
        let root = RunAs {
            privileged: true,
            ..owner
        };
        assert!(root.may(Access::Read, &of(0)));
        assert!(!root.may(Access::Execute, &of(0o644)));
        fs::remove_dir_all(folder).unwrap();
    }
}
