//! The child processes of this process.

use std::fs;

use nix::unistd::Pid;

use crate::process_stat::ProcessStat;

/// A child process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Child {
    /// Its process ID.
    pub pid: Pid,
    /// Its process group.
    pub group: Pid,
    /// When it was started, in clock ticks since boot.
    pub started: i64,
}

/// The children that have not ended, without those for which `known` returns true.
pub(super) fn others(known: impl Fn(Pid) -> bool) -> Vec<Child> {
    pids()
        .into_iter()
        .filter(|pid| !known(*pid))
        .filter_map(|pid| {
            let stat = ProcessStat::of(pid)?;
            (is_child(&stat) && !stat.has_ended).then_some(Child {
                pid,
                group: Pid::from_raw(stat.group),
                started: stat.started,
            })
        })
        .collect()
}

/// The process IDs of the children, including those that have ended and have not been waited for.
pub(super) fn pids() -> Vec<Pid> {
    let pids = from_task_children().unwrap_or_else(|| {
        let is_child = |pid| ProcessStat::of(pid).is_some_and(|stat| is_child(&stat));
        let mut pids = all_processes();
        pids.retain(|pid| is_child(Pid::from_raw(*pid)));
        pids
    });
    pids.into_iter().map(Pid::from_raw).collect()
}

fn is_child(stat: &ProcessStat) -> bool {
    stat.parent == std::process::id()
}

/// The children of each thread, from /proc/self/task/TID/children. `None` if the kernel has no such
/// file.
fn from_task_children() -> Option<Vec<i32>> {
    let mut pids = Vec::new();
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let path = thread.ok()?.path().join("children");
        let list = fs::read_to_string(path).ok()?;
        pids.extend(
            list.split_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    Some(pids)
}

/// All visible processes.
pub(super) fn all_processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Returns whether a process is known to have ended, though it may not have been waited for.
pub(super) fn has_ended(pid: Pid) -> bool {
    // The file of a process may be hidden.
    ProcessStat::of(pid).is_some_and(|stat| stat.has_ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_child_is_found_with_its_group_and_start_time() {
        let mut process = Command::new("sleep").arg("100").spawn().unwrap();
        let pid = Pid::from_raw(process.id() as i32);
        let found: Vec<Child> = others(|other| other != pid);
        process.kill().unwrap();
        process.wait().unwrap();
        let [child] = found[..] else {
            panic!("{found:?}");
        };
        assert_eq!((child.pid, child.group), (pid, nix::unistd::getpgrp()));
        assert!(child.started > 0);
        assert_eq!(others(|other| other != pid), []);
    }
}
