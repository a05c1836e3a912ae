//! The child processes of this process.

use std::fs;

use nix::unistd::Pid;

/// A child process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// Its process ID.
    pub pid: Pid,
    /// Its process group.
    pub group: Pid,
    /// When it was started, in clock ticks since boot.
    pub started: i64,
}

/// The children that have not ended, without those for which `known` returns true.
pub fn others(known: impl Fn(Pid) -> bool) -> Vec<Child> {
    let own = std::process::id();
    let pids = from_task_children().unwrap_or_else(all_processes);
    pids.into_iter()
        .map(Pid::from_raw)
        .filter(|pid| !known(*pid))
        .filter_map(|pid| {
            let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
            let (parent, child) = parse(pid, &stat)?;
            (parent == own).then_some(child)
        })
        .collect()
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
pub fn all_processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Returns whether a process is known to have ended, though it may not have been waited for.
pub fn has_ended(pid: Pid) -> bool {
    // The file of a process may be hidden.
    let stat = fs::read(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| parse(pid, &stat).is_none())
}

/// Parses /proc/PID/stat into the parent process ID and the child. `None` if the process has ended.
fn parse(pid: Pid, stat: &[u8]) -> Option<(u32, Child)> {
    // The second field is the command name in parentheses, which may contain any byte.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // If only the first thread has ended, the state is Z, and there are other threads.
    let threads = fields.get(17)?;
    match *fields.first()? {
        "X" => return None,
        "Z" if *threads == "1" => return None,
        _ => {}
    }
    let child = Child {
        pid,
        group: Pid::from_raw(fields.get(2)?.parse().ok()?),
        started: fields.get(19)?.parse().ok()?,
    };
    Some((fields.get(1)?.parse().ok()?, child))
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

    #[test]
    fn a_command_name_may_contain_parentheses_and_blanks() {
        let stat = b"7 (a) S 1 2 (b)) S 4 5 6 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 900 1 1";
        let child = Child {
            pid: Pid::from_raw(7),
            group: Pid::from_raw(5),
            started: 900,
        };
        assert_eq!(parse(Pid::from_raw(7), stat), Some((4, child)));
        let ended = String::from_utf8_lossy(stat).replace("(b)) S", ") Z");
        assert_eq!(parse(Pid::from_raw(7), ended.as_bytes()), None);
        let has_threads = ended.replace(" 20 0 1 0 900", " 20 0 2 0 900");
        assert_eq!(
            parse(Pid::from_raw(7), has_threads.as_bytes()),
            Some((4, child))
        );
        assert_eq!(parse(Pid::from_raw(7), b"7 (cut"), None);
    }
}
