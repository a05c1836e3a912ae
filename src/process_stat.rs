//! What /proc/PID/stat says about a process.

use std::fs;

/// A process, as the kernel describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    /// The process ID of its parent.
    pub(crate) parent: u32,
    /// Its process group.
    pub(crate) group: i32,
    /// When it was started, in clock ticks since boot.
    pub(crate) started: i64,
    /// It has ended, though its parent may not have waited for it.
    pub(crate) has_ended: bool,
}

impl ProcessStat {
    /// Reads that of a process; `None` if there is none, or if its file is hidden.
    pub(crate) fn of(pid: impl std::fmt::Display) -> Option<ProcessStat> {
        ProcessStat::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Parses the file.
    pub(crate) fn parse(stat: &[u8]) -> Option<ProcessStat> {
        // The second field is the command name in parentheses, which may contain any byte.
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // If only the first thread has ended, the state is Z, and there are other threads.
        let threads = fields.get(17)?;
        let has_ended = match *fields.first()? {
            "X" => true,
            "Z" => *threads == "1",
            _ => false,
        };
        Some(ProcessStat {
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
            has_ended,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_read_whatever_the_name_of_the_command_is() {
        let stat = "7 (a) S 1 2 (b)) S 4 5 6 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 900 1 1\n";
        let expected = ProcessStat {
            parent: 4,
            group: 5,
            started: 900,
            has_ended: false,
        };
        assert_eq!(ProcessStat::parse(stat.as_bytes()), Some(expected));
        assert_eq!(ProcessStat::parse(b"7 (cut"), None);
    }

    #[test]
    fn a_process_has_ended_when_its_last_thread_has() {
        let has_ended = |state: &str, threads: &str| {
            let stat = format!("7 (a) {state} 4 5 6 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 900 1");
            ProcessStat::parse(stat.as_bytes()).unwrap().has_ended
        };
        assert!(has_ended("Z", "1") && has_ended("X", "0"));
        assert!(!has_ended("Z", "2") && !has_ended("S", "1"));
    }
}
