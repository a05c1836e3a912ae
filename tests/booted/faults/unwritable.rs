//! Directories of units that are read-only or full while a command changes them.

use std::io::Write;
use std::process::Output;

use super::{ALL, EACH, ECHO_LINE, expect_answer, expect_whole, of_user, serving};
use crate::machine::{Machine, Release};
use crate::support::rest;

on_both_releases!(
    what_cannot_be_written_to_etc_changes_nothing_and_stops_nothing,
    what_cannot_be_written_to_the_directory_of_a_user_changes_nothing_and_stops_nothing,
);

/// A directory with units that is read-only or full, and the service manager whose units they are.
struct Units<'m> {
    machine: &'m Machine,
    directory: &'static str,
    /// Precedes the options of systemctl and of the commands of sockunit.
    user: &'static str,
}

impl Units<'_> {
    /// A command as the user whose units they are.
    fn typed(&self, command: &str) -> String {
        match self.user {
            "" => command.into(),
            _ => of_user(command),
        }
    }

    /// Runs a command of sockunit.
    fn output(&self, command: &str) -> Output {
        let command = format!("sockunit {}", command.replace("USER", self.user));
        self.machine.output(&self.typed(&command))
    }

    #[track_caller]
    fn run(&self, command: &str) {
        let output = self.output(command);
        assert!(output.status.success(), "{command}: {output:?}");
    }

    /// The error of a command that must fail.
    #[track_caller]
    fn error(&self, command: &str) -> String {
        let output = self.output(command);
        assert_eq!(output.status.code(), Some(1), "{command}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Everything in the directory that can differ, /etc/services, and the units that systemd knows.
    fn state(&self) -> String {
        let Units {
            directory, user, ..
        } = self;
        let known = format!("systemctl {user} list-units --all --plain --no-legend \"new*\"");
        // A directory for links that `add` made stays, as it does after systemctl enable.
        self.machine.run(&format!(
            "find {directory} -not -type d -printf '%p %m %s %l\\n' | sort; cat /etc/services
             {}",
            self.typed(&known)
        ))
    }

    /// Limits what the file system of the directory can hold.
    fn leave(&self, amount: &str) {
        let directory = self.directory;
        self.machine
            .run(&format!("mount -o remount,{amount} {directory}"));
    }

    fn used(&self, what: &str) -> u64 {
        let directory = self.directory;
        let used = self
            .machine
            .run(&format!("df --output={what} -k {directory} | tail -n 1"));
        used.trim().parse().unwrap()
    }

    /// Asserts that each command fails on the read-only directory, and changes nothing.
    #[track_caller]
    fn expect_read_only(&self, commands: &[&str]) {
        let before = self.state();
        for command in commands {
            let error = self.error(command);
            assert!(
                error.contains("read-only file system") && error.contains(self.directory),
                "{command}: {error}"
            );
        }
        assert_eq!(self.state(), before);
    }

    /// Gives a full directory room for one file more each time, and then for one page more, until there is enough for a
    /// command. Asserts that nothing has changed before, and that the service is served all the time. Then undoes it
    /// without room, or else with room.
    #[track_caller]
    fn expect_all_or_nothing(&self, change: &str, undo: &str, served: &dyn Fn(bool)) {
        let before = self.state();
        for (limit, field, unit, step, whole) in [
            ("nr_inodes", "iused", "", 1, "nr_inodes=100k"),
            ("size", "used", "k", 4, "size=100m"),
        ] {
            let mut failures = 0;
            loop {
                let room = self.used(field) + failures * step;
                self.leave(&format!("{limit}={room}{unit}"));
                if self.output(change).status.success() {
                    break;
                }
                let error = self.error(change);
                assert!(error.contains("no space left on device"), "{error}");
                self.leave(whole);
                assert_eq!(self.state(), before, "{change}: {limit}: {failures}");
                served(false);
                failures += 1;
                assert!(failures < 20, "{change}: {error}");
            }
            assert!(failures > 0, "{change}: {limit}");
            let with = self.state();
            self.leave(&format!("{limit}={}{unit}", self.used(field)));
            if self.output(undo).status.success() {
                self.leave(whole);
            } else {
                assert_eq!(self.state(), with, "{undo}: {limit}");
                served(true);
                self.leave(whole);
                self.run(undo);
            }
            assert_eq!(self.state(), before, "{undo}: {limit}");
        }
    }
}

fn what_cannot_be_written_to_etc_changes_nothing_and_stops_nothing(release: Release) {
    let machine = serving(release);
    let etc = Units {
        machine: &machine,
        directory: "/etc",
        user: "",
    };
    let new = "add --enable new 4003 -- /usr/local/bin/echo-line";
    let new_shared = "add --enable --shared new 4003 -- /usr/local/bin/echo-line";
    let each = "add --replace --enable --env A=1 each 4001 -- /usr/local/bin/echo-line";
    let all = "add --replace --enable --shared --env A=1 all 4002 -- /usr/local/bin/echo-line";
    let services = "services add other 4009";
    let mut session = machine.connect(ALL);

    machine.run("mount --bind /etc /etc && mount -o remount,ro,bind /etc");
    etc.expect_read_only(&[
        new,
        new_shared,
        each,
        all,
        "remove each",
        "remove all",
        services,
        "services remove hello 3333",
    ]);
    expect_whole(&machine, "readonly");
    session.write_all(b"still\n").unwrap();
    assert_eq!(rest(session), "still\n");
    machine.run("umount /etc");

    machine.run(
        "cp -a /etc /root/etc && mount -t tmpfs -o size=100m tmpfs /etc && cp -a /root/etc/. /etc",
    );
    let unchanged = |service: &'static str, address: &'static str| {
        let machine = &machine;
        move |_: bool| expect_answer(machine, service, address, "still")
    };
    let attached = |is_attached: bool| {
        if is_attached {
            expect_answer(&machine, "new", "127.0.0.1:4003", "still");
        }
    };
    etc.expect_all_or_nothing(new, "remove new", &attached);
    etc.expect_all_or_nothing(new_shared, "remove new", &attached);
    etc.expect_all_or_nothing(
        each,
        &each.replace("--env A=1", ""),
        &unchanged("each", EACH),
    );
    etc.expect_all_or_nothing(all, &all.replace("--env A=1", ""), &unchanged("all", ALL));
    etc.expect_all_or_nothing(services, "services remove other 4009", &|_| ());
    machine.run("umount --lazy /etc");
    expect_whole(&machine, "afterwards");
}

fn what_cannot_be_written_to_the_directory_of_a_user_changes_nothing_and_stops_nothing(
    release: Release,
) {
    let machine = Machine::installed(release);
    machine.program("/usr/local/bin/echo-line", ECHO_LINE);
    machine.run(
        "useradd --create-home you && mkdir -m 700 /home/you/.config && chown you: /home/you/.config
         mount -t tmpfs -o size=100m,mode=700,uid=you tmpfs /home/you/.config
         systemctl start user@$(id -u you).service",
    );
    let config = Units {
        machine: &machine,
        directory: "/home/you/.config",
        user: "--user",
    };
    let all = "add USER --shared --enable all 4002 -- /usr/local/bin/echo-line";
    config.run(all);
    let replace =
        "add USER --replace --shared --enable --env A=1 all 4002 -- /usr/local/bin/echo-line";
    let still = |_: bool| expect_answer(&machine, "all", ALL, "still");
    config.leave("ro");
    config.expect_read_only(&[
        "add USER --enable new 4003 -- /usr/local/bin/echo-line",
        replace,
        "remove USER all",
    ]);
    still(true);
    config.leave("rw");
    config.expect_all_or_nothing(
        "add USER --enable new 4003 -- /usr/local/bin/echo-line",
        "remove USER new",
        &still,
    );
    config.expect_all_or_nothing(replace, &replace.replace("--env A=1", ""), &still);
}
