//! Finds the time zone as the C library does (tzset(3)), without a walk through the database.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

/// The largest file that is taken for a time zone; those of the database have a few kilobytes.
const LARGEST: u64 = 256 * 1024;

/// The zone that TZ names, or else the system's.
pub fn local_zone() -> TimeZone {
    find(std::env::var_os("TZ").as_deref(), Path::new("/"))
}

/// The zone that `tz`, the value of TZ, names below `root`: a file of the database, a file by its
/// full path, or a rule such as `EST5EDT,M3.2.0,M11.1.0`; without TZ the one in /etc/localtime.
/// Where there is none it is UTC, as for the C library, and is called so (the C library takes the
/// beginning of a misspelt name for UTC's).
pub fn find(tz: Option<&OsStr>, root: &Path) -> TimeZone {
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
    // Room for most of them, so that they are read at once.
    let mut bytes = Vec::with_capacity(4096);
    File::open(path)
        .ok()?
        .take(LARGEST)
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

    /// What `date` says of this instant with this TZ.
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
    fn every_way_to_write_tz_gives_what_date_gives() {
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
    fn a_zone_that_does_not_exist_is_utc() {
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
    fn without_tz_the_system_has_its_say() {
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
