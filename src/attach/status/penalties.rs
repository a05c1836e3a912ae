//! The sources that a shared service refuses at present, by the journal fields of the penalties that its
//! process has logged.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Error;
use crate::systemd::{Manager, Place, journalctl};

/// A source that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Penalised {
    /// An address, a network, or the user of a local client.
    pub source: String,
    /// When its penalty ends.
    pub until: Timestamp,
}

const FIELDS: [&str; 3] = [
    "__REALTIME_TIMESTAMP",
    "SOCKUNIT_SOURCE",
    "SOCKUNIT_PENALTY_SEC",
];

/// The sources that have a penalty, sorted; `None` if the caller may not read the journal.
///
/// # Errors
///
/// systemctl fails.
pub(crate) fn penalties(
    place: &Place,
    manager: &Manager,
    unit: &str,
) -> Result<Option<Vec<Penalised>>, Error> {
    let shown = manager.show(unit, &["MainPID"])?;
    let pid = shown.get("MainPID");
    if pid.parse().unwrap_or(0) == 0 {
        return Ok(Some(Vec::new()));
    }
    // journald sets _PID: no program that the service has started can forge such an entry.
    let pid = format!("_PID={pid}");
    let entries = journalctl::values(place, &["SOCKUNIT_EVENT=penalty", &pid], &FIELDS);
    Ok(entries.map(|entries| current(&entries, Timestamp::now())))
}

/// Those of the entries that last at this time.
fn current(entries: &[Vec<String>], now: Timestamp) -> Vec<Penalised> {
    let mut all = BTreeMap::new();
    for entry in entries {
        let [begin, source, seconds] = entry.as_slice() else {
            continue;
        };
        all.extend(end(begin, seconds).map(|until| (source, until)));
    }
    let lasting = all.into_iter().filter(|(_, until)| *until > now);
    lasting
        .map(|(source, until)| Penalised {
            source: source.clone(),
            until,
        })
        .collect()
}

fn end(begin: &str, seconds: &str) -> Option<Timestamp> {
    let begin = Timestamp::from_microsecond(begin.parse().ok()?).ok()?;
    let length = SignedDuration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    begin.checked_add(length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_penalty_of_a_source_counts_as_long_as_it_lasts() {
        let output = br#"{"__REALTIME_TIMESTAMP":"1000000","SOCKUNIT_SOURCE":"192.0.2.1","SOCKUNIT_PENALTY_SEC":"100"}
{"__REALTIME_TIMESTAMP":"2000000","SOCKUNIT_SOURCE":"192.0.2.2","SOCKUNIT_PENALTY_SEC":"0.5"}
{"__REALTIME_TIMESTAMP":"3000000","SOCKUNIT_SOURCE":"192.0.2.1","SOCKUNIT_PENALTY_SEC":"7.5"}
{"__REALTIME_TIMESTAMP":"3000000","SOCKUNIT_SOURCE":"192.0.2.3"}
{"__REALTIME_TIMESTAMP":"3000000","SOCKUNIT_SOURCE":[1,2],"SOCKUNIT_PENALTY_SEC":"9"}
not JSON
"#;
        let entries = journalctl::parse_values(output, &FIELDS);
        let shown = |seconds| current(&entries, Timestamp::from_second(seconds).unwrap());
        let until = Timestamp::from_millisecond(10_500).unwrap();
        let source = "192.0.2.1".into();
        assert_eq!(shown(4), [Penalised { source, until }]);
        assert_eq!(shown(11), []);
    }
}
