//! Tags: they show which connection a process belongs to, whatever it does.
//!
//! A tag is the process's limit on file locks, which the kernel ignores. Processes inherit it. With
//! `--isolate` they cannot change it; without, they can only lower it, mostly to one that belongs to no
//! connection, because tags are random.

use std::collections::HashSet;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::children;
use crate::sys::spawn;

/// The tag of a connection's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Tag(pub u64);

impl Tag {
    /// A new tag. It is lower than this process's own, which it has if another `sockunit serve` started
    /// it.
    pub(crate) fn random() -> Tag {
        let own = spawn::tag(Pid::from_raw(0)).unwrap_or(u64::MAX);
        let random = RandomState::new().build_hasher().finish();
        Tag(random % own.clamp(1, i64::MAX as u64))
    }

    /// The tag of a process; `None` if it has ended.
    pub(crate) fn of(pid: Pid) -> Option<Tag> {
        let tag = match spawn::tag(pid) {
            // A server that starts as root becomes other users. Everybody may read this file.
            Err(Errno::EPERM) => {
                in_limits(&fs::read_to_string(format!("/proc/{pid}/limits")).ok()?)
            }
            tag => tag.ok(),
        };
        tag.map(Tag)
    }
}

/// The soft limit on file locks in the text of /proc/PID/limits. `None` if it is `unlimited`, which no tag is.
fn in_limits(text: &str) -> Option<u64> {
    let limit = text
        .lines()
        .find_map(|line| line.strip_prefix("Max file locks"))?;
    limit.split_whitespace().next()?.parse().ok()
}

/// The processes with one of these tags.
pub(super) fn tagged(tags: impl Fn(Tag) -> bool) -> Vec<(Pid, Tag)> {
    let pids = of_control_group().unwrap_or_else(children::all_processes);
    let pids = pids.into_iter().filter(|pid| *pid > 0).map(Pid::from_raw);
    pids.filter_map(|pid| Some((pid, Tag::of(pid)?)))
        .filter(|(pid, tag)| tags(*tag) && !children::has_ended(*pid))
        .collect()
}

/// The processes of this process's control group. Unlike /proc, it hides none of them.
fn of_control_group() -> Option<Vec<i32>> {
    let path = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = path.lines().find_map(|line| line.strip_prefix("0::"))?;
    let list = fs::read_to_string(format!("/sys/fs/cgroup{path}/cgroup.procs")).ok()?;
    let pids: HashSet<i32> = list.lines().filter_map(|pid| pid.parse().ok()).collect();
    // It is another group's if the file system shows a part of the tree only.
    let own = i32::try_from(std::process::id()).ok()?;
    pids.contains(&own).then(|| pids.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_file_of_limits_has_the_tag() {
        let tag = Tag::random();
        let mut process = Command::new("sleep").arg("100").spawn().unwrap();
        let pid = process.id();
        let limit = format!("--locks={0}:{0}", tag.0);
        let mut set = Command::new("prlimit");
        set.args(["--pid", &pid.to_string(), &limit]);
        assert!(set.status().unwrap().success());
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(in_limits(&limits), Some(tag.0));
        let unlimited = limits.replace(&tag.0.to_string(), "unlimited");
        assert_eq!(in_limits(&unlimited), None);
    }

    #[test]
    fn tags_differ_and_can_be_set() {
        let tags: HashSet<Tag> = (0..1000).map(|_| Tag::random()).collect();
        assert_eq!(tags.len(), 1000);
        let own = spawn::tag(Pid::from_raw(0)).unwrap();
        assert!(tags.iter().all(|tag| tag.0 < own));
        assert!(
            tagged(|_| true)
                .iter()
                .any(|(pid, _)| *pid == nix::unistd::getpid())
        );
    }
}
