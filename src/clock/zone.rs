//! Finds the time zone like tzset(3), without reading the whole time zone database.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

/// The maximum size of a time zone file, in bytes. The files of the database have a few kilobytes.
const MAX_SIZE: u64 = 256 * 1024;

/// The time zone of the environment variable TZ, or that of the system.
pub(crate) fn local_zone() -> TimeZone {
    find(std::env::var_os("TZ").as_deref(), Path::new("/"))
}

/// The time zone for `tz`, the value of TZ, in the system below `root`. The value is the name of a
/// file in the database, an absolute path, or a rule such as `EST5EDT,M3.2.0,M11.1.0`; without it
/// the zone is that of /etc/localtime. An unknown zone is UTC, as in the C library, and is named UTC,
/// where the C library prints the beginning of the unknown name.
pub(super) fn find(tz: Option<&OsStr>, root: &Path) -> TimeZone {
    let Some(tz) = tz else {
        return read(&root.join("etc/localtime")).unwrap_or(TimeZone::UTC);
    };
    let name = tz.as_bytes();
    let name = name.strip_prefix(b":").unwrap_or(name);
    if name.is_empty() {
        return TimeZone::UTC;
    }
    read(&file(OsStr::from_bytes(name), root))
        .or_else(|| rule(name))
        .unwrap_or(TimeZone::UTC)
}

fn file(name: &OsStr, root: &Path) -> PathBuf {
    match Path::new(name).strip_prefix("/") {
        Ok(path) => root.join(path),
        Err(_) => root.join("usr/share/zoneinfo").join(name),
    }
}

fn read(path: &Path) -> Option<TimeZone> {
    // Large enough for most files, so that one read(2) is enough.
    let mut bytes = Vec::with_capacity(4096);
    File::open(path)
        .ok()?
        .take(MAX_SIZE)
        .read_to_end(&mut bytes)
        .ok()?;
    TimeZone::tzif("", &bytes).ok()
}

fn rule(name: &[u8]) -> Option<TimeZone> {
    TimeZone::posix(std::str::from_utf8(name).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;
    use std::process::Command;

    /// The output of date(1) for this time and TZ.
    fn c_library(tz: &str, instant: &str) -> String {
        let output = Command::new("date")
            .args(["-d", instant])
            .env("TZ", tz)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().into()
    }

    #[test]
    fn every_form_of_tz_gives_the_output_of_date() {
        for tz in [
            "America/New_York",
            ":America/New_York",
            "/usr/share/zoneinfo/Asia/Kolkata",
            "Pacific/Chatham",
            "Africa/Casablanca",
            "Europe/Dublin",
            "Etc/GMT+5",
            "EST5EDT",
            "EST5EDT,M3.2.0,M11.1.0",
            "<+0330>-3:30",
            "UTC",
            "",
            "JST-9",
        ] {
            for instant in [
                "2001-01-23T18:33:55Z",
                "2026-07-01T00:00:00Z",
                "1999-12-31T23:59:59Z",
            ] {
                let ours = date(
                    instant.parse().unwrap(),
                    find(Some(tz.as_ref()), Path::new("/")),
                );
                assert_eq!(ours, c_library(tz, instant), "TZ={tz}");
            }
        }
    }

    #[test]
    fn an_unknown_zone_is_utc() {
        let instant = "2001-01-23T18:33:55Z".parse().unwrap();
        for tz in ["Nowhere/City", "/etc/passwd", "/dev/zero", "\u{fffd}"] {
            let zone = find(Some(tz.as_ref()), Path::new("/"));
            assert_eq!(
                date(instant, zone),
                "Tue Jan 23 18:33:55 UTC 2001",
                "TZ={tz}"
            );
        }
    }

    #[test]
    fn without_tz_the_zone_is_that_of_etc_localtime() {
        let root = std::env::temp_dir().join(format!("sockunit-zone-{}", std::process::id()));
        std::fs::create_dir_all(root.join("etc")).unwrap();
        let instant = "2001-01-23T18:33:55Z".parse().unwrap();
        assert_eq!(
            date(instant, find(None, &root)),
            "Tue Jan 23 18:33:55 UTC 2001"
        );
        std::fs::copy(
            "/usr/share/zoneinfo/America/New_York",
            root.join("etc/localtime"),
        )
        .unwrap();
        assert_eq!(
            date(instant, find(None, &root)),
            "Tue Jan 23 13:33:55 EST 2001"
        );
        std::fs::write(root.join("etc/localtime"), "no time zone").unwrap();
        assert_eq!(
            date(instant, find(None, &root)),
            "Tue Jan 23 18:33:55 UTC 2001"
        );
        std::fs::remove_dir_all(&root).unwrap();
    }
}
