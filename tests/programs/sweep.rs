//! Scripts of the package that read unit files, on test directories: packaging/sockunit-sweep, which removes files of
//! ended connections from /run, and debian/sockunit.prerm.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Creates an empty directory that stands for /run/systemd/units.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs the script, which must print nothing, and returns the files that are left.
#[track_caller]
fn sweep(folder: &Path) -> BTreeSet<String> {
    sweep_with(folder, Path::new("/nonexistent"))
}

/// Does the same with a directory for the units in /etc/systemd/system.
#[track_caller]
fn sweep_with(folder: &Path, units: &Path) -> BTreeSet<String> {
    run(folder, units);
    let left = fs::read_dir(folder).unwrap();
    left.map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[track_caller]
fn run(folder: &Path, units: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/sockunit-sweep");
    let output = Command::new(script)
        .arg(folder)
        .arg(units)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!((output.stdout, output.stderr), (vec![], vec![]));
}

#[test]
fn files_of_ended_connections_are_removed_and_those_of_existing_units_kept() {
    let folder = folder("sweep-many");
    let unit = |number: usize| {
        let service = ["hello", "celebs"][number % 2];
        format!("{service}@{number}-[::1]:3333-[::1]:40112.service")
    };
    let mut kept = BTreeSet::new();
    for number in 0..20_000 {
        let file = format!("log-extra-fields:{}", unit(number));
        fs::write(folder.join(&file), "").unwrap();
        if number % 1000 < 2 {
            // The target of the link is an invocation ID, not a file.
            let link = format!("invocation:{}", unit(number));
            symlink("06f093614b3f4949bc3b17640682ab56", folder.join(&link)).unwrap();
            kept.extend([file, link]);
        }
    }
    assert_eq!(kept.len(), 80);
    assert_eq!(sweep(&folder), kept);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn files_of_other_units_are_kept() {
    let folder = folder("sweep-others");
    let others = [
        "log-extra-fields:hello.service",
        "log-extra-fields:othello@1.service",
        "log-extra-fields:system-hello.slice",
        "log-level-max:hello@1.service",
        "invocation:other.service",
    ];
    for file in others {
        fs::write(folder.join(file), "").unwrap();
    }
    fs::write(folder.join("log-extra-fields:hello@1.service"), "").unwrap();
    assert_eq!(sweep(&folder), others.map(String::from).into());
}

#[test]
fn an_empty_or_missing_directory_is_no_error() {
    let folder = folder("sweep-nothing");
    assert_eq!(sweep(&folder), BTreeSet::new());
    let missing = folder.join("not-there");
    run(&missing, Path::new("/nonexistent"));
    assert!(!missing.exists());
}

/// Creates a FIFO. To open it blocks.
fn add_fifo(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR).unwrap();
}

#[test]
fn files_of_templates_that_add_wrote_are_removed_and_those_of_others_kept() {
    let (folder, units) = (folder("sweep-attached"), folder("sweep-units"));
    fs::write(
        units.join("a-b@.service"),
        "# Made by sockunit add; to remove it: sockunit remove a-b\n",
    )
    .unwrap();
    fs::write(units.join("mine@.service"), "[Service]\n").unwrap();
    add_fifo(&units.join("fifo@.service"));
    for name in ["a-b@1", "mine@1", "b@1"] {
        fs::write(folder.join(format!("log-extra-fields:{name}.service")), "").unwrap();
    }
    assert_eq!(
        sweep_with(&folder, &units),
        ["b@1", "mine@1"]
            .map(|name| format!("log-extra-fields:{name}.service"))
            .into()
    );
    fs::remove_dir_all(units).unwrap();
}

#[test]
fn the_removal_of_the_package_lists_the_services_that_add_wrote() {
    let units = folder("prerm-units");
    fs::write(
        units.join("a-b.socket"),
        "# Made by sockunit add; to remove it: sockunit remove a-b\n",
    )
    .unwrap();
    fs::write(units.join("mine.socket"), "[Socket]\n").unwrap();
    add_fifo(&units.join("fifo.socket"));
    // Its first line does not end.
    let endless = fs::File::create(units.join("endless.socket")).unwrap();
    endless.set_len(1 << 40).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("debian/sockunit.prerm");
    let script = fs::read_to_string(script).unwrap();
    let (_, list) = script.split_once("    attached=\n").unwrap();
    let (list, _) = list.split_once("    if [ -n \"$attached\"").unwrap();
    assert!(list.contains("/etc/systemd/system/*.socket"));
    let list = list.replace("/etc/systemd/system", units.to_str().unwrap());
    let output = Command::new("sh")
        .args(["-euc", &format!("attached=\n{list}\necho \"$attached\"")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), " a-b\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    fs::remove_dir_all(units).unwrap();
}
