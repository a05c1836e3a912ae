//! Faults of the system around the services: of the journal, of /run and /etc, of processes; and what changes under load.
//!
//! The services are in three modes: per-connection and shared services that `add` attached, and the package's own.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::deb::{deb, next_deb};
use crate::machine::{CELEBS, HELLO, Machine, Release};
use crate::support::{Mode, PATIENCE, wait_for};

on_both_releases!(
    a_journal_that_restarts_stops_or_is_full_delays_no_session_and_loses_no_later_entry,
    without_room_in_run_shared_services_answer_and_no_listener_is_lost,
    without_descriptors_clients_wait_and_are_served_once_there_are_some,
    what_cannot_be_written_to_etc_changes_nothing_and_stops_nothing,
    what_cannot_be_written_to_the_directory_of_a_user_changes_nothing_and_stops_nothing,
    a_killed_process_is_replaced_within_a_second,
    no_client_is_refused_while_units_are_reloaded_restarted_upgraded_and_downgraded,
    a_reboot_under_load_leaves_no_failed_unit_and_all_sockets_listen,
    sixteen_hundred_sockets_are_checked_in_a_second,
    sockets_with_drop_ins_and_instances_are_checked_with_as_many_system_calls_for_each,
);

/// Per-connection and shared, attached by `add`.
const EACH: &str = "127.0.0.1:4001";
const ALL: &str = "127.0.0.1:4002";

/// The services, and whether one process serves all connections.
const SERVICES: [(&str, &str, bool); 4] = [
    ("hello", HELLO, false),
    ("celebs", CELEBS, true),
    ("each", EACH, false),
    ("all", ALL, true),
];

const ECHO_LINE: &str = "#!/bin/sh\nread -r line\necho \"said $line\" >&2\necho \"$line\"\n";

/// A machine with the four services, whose programs echo a line, on standard error too.
fn serving(release: Release) -> Machine {
    let machine = Machine::installed(release);
    machine.write("/usr/local/bin/echo-line", ECHO_LINE);
    machine.switch(&["hello"], Mode::PerConnection);
    machine.switch(&["celebs"], Mode::Shared);
    machine.run(
        "chmod 755 /usr/local/bin/echo-line
         systemctl enable hello.socket celebs.socket
         sockunit add --enable each 4001 -- /usr/local/bin/echo-line
         sockunit add --enable --shared all 4002 -- /usr/local/bin/echo-line",
    );
    machine
}

/// Has a whole conversation; an error if the service does not answer as it should.
fn talk(service: &str, address: &str, word: &str) -> Result<(), String> {
    let address: SocketAddr = address.parse().unwrap();
    let failed = |error| format!("{service}: {error}");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (sent, expected) = match service {
        "hello" => (String::new(), "Hello World:".to_owned()),
        "celebs" => (format!("{word}\nq\n"), format!(":{word}, \n")),
        _ => (format!("{word}\n"), format!("{word}\n")),
    };
    stream.write_all(sent.as_bytes()).map_err(failed)?;
    stream.shutdown(Shutdown::Write).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    match answer.contains(&expected) {
        true => Ok(()),
        false => Err(format!("{service} answered {answer:?}")),
    }
}

/// Asserts that a service answers soon.
#[track_caller]
fn expect_answer(machine: &Machine, service: &str, address: &str, word: &str) {
    let begin = Instant::now();
    let answer = machine.in_network(|| talk(service, address, word));
    assert_eq!(answer, Ok(()), "{word}");
    let taken = begin.elapsed();
    assert!(taken < Duration::from_secs(10), "{service}: {taken:?}");
}

#[track_caller]
fn expect_answers(machine: &Machine, word: &str) {
    for (service, address, _) in SERVICES {
        expect_answer(machine, service, address, word);
    }
}

/// Asserts that nothing has failed, and that all sockets listen and answer.
#[track_caller]
fn expect_whole(machine: &Machine, word: &str) {
    expect_answers(machine, word);
    wait_for("no unit has failed", || {
        machine
            .run("systemctl --failed --plain --no-legend")
            .is_empty()
    });
    for (service, ..) in SERVICES {
        let socket = format!("{service}.socket");
        assert_eq!(machine.property(&socket, "ActiveState"), "active");
    }
}

/// Waits until what was said with a word is in the journal, by each service, and by the programs.
#[track_caller]
fn expect_entries(machine: &Machine, word: &str, since: &str) {
    for (service, ..) in SERVICES {
        let (ended, said) = match service {
            "hello" => (" served: ", " served: ".to_owned()),
            "celebs" => (" quit: ", format!("asked \"{word}\"")),
            _ => (" exited 0: ", format!("said {word}")),
        };
        machine.journal_until(
            &format!("-t {service} -o cat --since '{since}'"),
            "the entries",
            |text| text.contains(ended) && text.contains(&said),
        );
    }
}

/// The time in the machine, as journalctl takes it.
fn now(machine: &Machine) -> String {
    machine.run("date '+%Y-%m-%d %H:%M:%S.%6N'")
}

fn a_journal_that_restarts_stops_or_is_full_delays_no_session_and_loses_no_later_entry(
    release: Release,
) {
    let machine = serving(release);
    expect_answers(&machine, "first");
    for (word, fault, repair) in [
        ("restarted", "systemctl restart systemd-journald", ""),
        (
            "renewed",
            "systemctl restart systemd-journald.socket systemd-journald-dev-log.socket systemd-journald",
            "",
        ),
        (
            "frozen",
            "systemctl kill --signal STOP systemd-journald",
            "systemctl kill --signal CONT systemd-journald",
        ),
        (
            "full",
            "mount -t tmpfs -o size=8m tmpfs /var/log/journal
             systemctl restart systemd-journald
             journalctl --flush
             cat /dev/zero >/var/log/journal/all || :",
            "rm /var/log/journal/all",
        ),
    ] {
        machine.run(fault);
        let since = now(&machine);
        for _ in 0..5 {
            expect_answers(&machine, word);
        }
        if !repair.is_empty() {
            machine.run(repair);
        }
        if word == "full" {
            // What journald could not write, it counts itself.
            expect_answers(&machine, "later");
            expect_entries(&machine, "later", &since);
        } else {
            expect_entries(&machine, word, &since);
        }
    }
    expect_whole(&machine, "last");
}

fn without_room_in_run_shared_services_answer_and_no_listener_is_lost(release: Release) {
    let machine = serving(release);
    expect_answers(&machine, "before");
    for (word, fill, clear) in [
        (
            "bytes",
            "mount -o remount,size=$(($(df --output=used -k /run | tail -n 1) + 64))k /run
             cat /dev/zero >/run/all || :",
            "rm /run/all; mount -o remount,size=1g /run",
        ),
        (
            "files",
            "mount -o remount,nr_inodes=$(($(df --output=iused /run | tail -n 1) + 10)) /run
             n=0; while mkdir /run/all-$n; do n=$((n + 1)); done",
            "rmdir /run/all-*; mount -o remount,nr_inodes=100k /run",
        ),
    ] {
        machine.run(fill);
        for (service, address, is_shared) in SERVICES {
            if is_shared {
                expect_answer(&machine, service, address, word);
            } else {
                // systemd may be unable to start an instance. The client is not left waiting.
                let begin = Instant::now();
                let _ = machine.in_network(|| talk(service, address, word));
                assert!(begin.elapsed() < Duration::from_secs(10), "{service}");
            }
        }
        machine.run(clear);
        expect_whole(&machine, "after");
    }
}

fn without_descriptors_clients_wait_and_are_served_once_there_are_some(release: Release) {
    let machine = serving(release);
    let shared = SERVICES.into_iter().filter(|(.., is_shared)| *is_shared);
    for (service, address, _) in shared {
        let unit = format!("{service}.service");
        machine.run(&format!(
            "mkdir -p /etc/systemd/system/{unit}.d
             printf '[Service]\\nLimitNOFILE=24\\n' >/etc/systemd/system/{unit}.d/few.conf
             systemctl daemon-reload && systemctl stop {unit}"
        ));
        expect_answer(&machine, service, address, "before");
        let pid = machine.property(&unit, "MainPID");
        let since = now(&machine);
        let held: Vec<TcpStream> = machine.in_network(|| {
            (0..40)
                .map(|_| TcpStream::connect_timeout(&address.parse().unwrap(), PATIENCE).unwrap())
                .collect()
        });
        let entries = format!("-u {unit} -o cat --since '{since}'");
        machine.journal_until(&entries, "what is missing", |text| {
            text.contains("too many open files")
        });
        drop(held);
        expect_answer(&machine, service, address, "after");
        assert_eq!(machine.property(&unit, "MainPID"), pid, "{service}");
        let log = machine.journal(&entries);
        let errors = log.matches("too many open files").count();
        assert!(errors <= 10, "{service}: {log}");
    }
    expect_whole(&machine, "last");
}

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
    assert_eq!(crate::support::rest(session), "still\n");
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
    machine.write("/usr/local/bin/echo-line", ECHO_LINE);
    machine.run(
        "chmod 755 /usr/local/bin/echo-line
         useradd --create-home you && mkdir -m 700 /home/you/.config && chown you: /home/you/.config
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

fn a_killed_process_is_replaced_within_a_second(release: Release) {
    let machine = serving(release);
    for (service, address, is_shared) in SERVICES {
        if !is_shared {
            continue;
        }
        expect_answer(&machine, service, address, "before");
        let answer_after = |command: &str| {
            machine.run(&format!("systemctl {command} {service}.service"));
            let begin = Instant::now();
            expect_answer(&machine, service, address, "after");
            begin.elapsed()
        };
        // The machine may be busy with something else: then a start takes long that nothing delays.
        let tries = [(); 5].map(|()| (answer_after("kill --signal KILL"), answer_after("stop")));
        let fastest = tries.iter().map(|(killed, _)| killed).min().unwrap();
        let slowest_start = tries.iter().map(|(_, stopped)| stopped).max().unwrap();
        assert!(
            *fastest < Duration::from_secs(1) + *slowest_start,
            "{service}: {tries:?}"
        );
    }
    expect_whole(&machine, "afterwards");
}

/// A per-connection and a shared service, attached by `add --user`.
const OF_USER: [(&str, &str, bool); 2] = [
    ("mine", "127.0.0.1:4003", false),
    ("ours", "127.0.0.1:4004", true),
];

/// As `serving`, with services of a user who lingers: without that, logind stops them after the last session.
fn serving_for_a_user_too(release: Release) -> Machine {
    let machine = serving(release);
    machine.run(&format!(
        "useradd --create-home you
         mkdir -p /var/lib/systemd/linger && touch /var/lib/systemd/linger/you
         systemctl start user@$(id -u you).service
         {}
         {}",
        of_user("sockunit add --user --enable mine 4003 -- /usr/local/bin/echo-line"),
        of_user("sockunit add --user --enable --shared ours 4004 -- /usr/local/bin/echo-line"),
    ));
    machine
}

/// A command of the user.
fn of_user(command: &str) -> String {
    format!("su - you -c 'export XDG_RUNTIME_DIR=/run/user/$(id -u); {command}'")
}

/// Asserts that the services of the user answer, and that none of them has failed.
#[track_caller]
fn expect_whole_for_the_user(machine: &Machine, word: &str) {
    for (service, address, _) in OF_USER {
        expect_answer(machine, service, address, word);
    }
    let failed = of_user("systemctl --user --failed --plain --no-legend");
    wait_for("no unit of the user has failed", || {
        machine.run(&failed).is_empty()
    });
}

/// Has clients talk to all services while something happens. Returns how many conversations there were, and what went
/// wrong.
fn under_load(machine: &Machine, happens: impl FnOnce(&dyn Fn())) -> (usize, Vec<String>) {
    let (done, talks) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let client = |service: &'static str, address: &'static str| {
            let (done, talks) = (&done, &talks);
            move || {
                machine.in_network(|| {
                    let mut failed = Vec::new();
                    while !done.load(Ordering::Relaxed) && failed.len() < 100 {
                        failed.extend(talk(service, address, "load").err());
                        talks.fetch_add(1, Ordering::Relaxed);
                    }
                    failed
                })
            }
        };
        let services = SERVICES.iter().chain(&OF_USER);
        let clients: Vec<_> = services
            .map(|(name, address, _)| scope.spawn(client(name, address)))
            .collect();
        // Returns when more clients were served.
        let wait = || {
            let before = talks.load(Ordering::Relaxed);
            wait_for("clients are served", || {
                talks.load(Ordering::Relaxed) > before + 50
            });
        };
        // The clients end although this panics.
        let happened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| happens(&wait)));
        done.store(true, Ordering::Relaxed);
        let failed: Vec<_> = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect();
        if let Err(panic) = happened {
            std::panic::resume_unwind(panic);
        }
        (talks.load(Ordering::Relaxed), failed)
    })
}

fn no_client_is_refused_while_units_are_reloaded_restarted_upgraded_and_downgraded(
    release: Release,
) {
    let machine = serving_for_a_user_too(release);
    let (next, first) = (machine.copy_in(next_deb()), machine.copy_in(deb()));
    let restart = format!(
        "systemctl restart celebs.service all.service; {}",
        of_user("systemctl --user restart ours.service")
    );
    let (talks, failed) = under_load(&machine, |wait| {
        for step in [
            "systemctl daemon-reload".to_owned(),
            of_user("systemctl --user daemon-reload"),
            restart.clone(),
            format!("dpkg --install --force-unsafe-io {next}"),
            restart,
            format!("dpkg --install --force-unsafe-io {first}"),
            "systemctl daemon-reexec".to_owned(),
        ] {
            wait();
            machine.run(&step);
        }
        wait();
    });
    assert_eq!(failed, [""; 0], "of {talks}");
    expect_whole(&machine, "afterwards");
    expect_whole_for_the_user(&machine, "afterwards");
}

fn a_reboot_under_load_leaves_no_failed_unit_and_all_sockets_listen(release: Release) {
    let mut machine = serving_for_a_user_too(release);
    // They end with the system.
    let mut clients = machine.spawn(
        "for port in 3333 3334 4001 4002 4003 4004; do
             (while :; do echo load | nc -N 127.0.0.1 $port; done) >/dev/null 2>&1 &
         done
         wait",
    );
    wait_for("clients are served", || {
        let accepted = machine.property("each.socket", "NAccepted");
        accepted.parse::<u32>().unwrap() > 20
    });
    machine.reboot();
    clients.wait().unwrap();
    expect_whole(&machine, "again");
    expect_whole_for_the_user(&machine, "again");
    let failed = machine.journal("-b -o cat -g 'Failed with result' || :");
    assert_eq!(failed, "");
}

fn sixteen_hundred_sockets_are_checked_in_a_second(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "cd /etc/systemd/system; mkdir -p sockets.target.wants
         for n in $(seq 1600); do
             printf '[Socket]\\nListenStream=%d\\nAccept=yes\\n' $((10000 + n)) >s$n.socket
             printf '[Service]\\nExecStart=/bin/true\\n' >s$n@.service
             ln -s ../s$n.socket sockets.target.wants
         done
         systemctl daemon-reload",
    );
    let timed = |command: &str| {
        let output = machine.output(&format!(
            "begin=$(date +%s%N); {command} >&2 || :; echo $((($(date +%s%N) - begin) / 1000000))"
        ));
        let taken: u64 = String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        (taken, String::from_utf8(output.stderr).unwrap())
    };
    // The machine may be busy with something else.
    let (taken, said) = (0..5)
        .map(|_| timed("sockunit check new 11600"))
        .min()
        .unwrap();
    assert!(
        said.contains("s1600.socket is configured to listen on 11600 (enabled"),
        "{said}"
    );
    assert!(taken < 1000, "{taken} ms");
}

/// Half of them have their port from a drop-in, and half are instances of a template, which have a drop-in too.
fn sockets_with_drop_ins_and_instances_are_checked_with_as_many_system_calls_for_each(
    release: Release,
) {
    let machine = Machine::installed(release);
    machine.run(
        "cd /etc/systemd/system; mkdir -p sockets.target.wants
         printf '[Socket]\\nListenStream=%%i\\nAccept=yes\\n' >t@.socket
         printf '[Service]\\nExecStart=/bin/true\\n' >t@.service",
    );
    let calls = |first: u32, last: u32| -> u32 {
        machine.run(&format!(
            "cd /etc/systemd/system
             for n in $(seq {first} 2 {last}); do
                 printf '[Socket]\\nListenStream=1\\nAccept=yes\\n' >s$n.socket
                 printf '[Service]\\nExecStart=/bin/true\\n' >s$n@.service
                 mkdir s$n.socket.d t@$((10001 + n)).socket.d
                 printf '[Socket]\\nListenStream=\\nListenStream=%d\\n' $((10000 + n)) >s$n.socket.d/port.conf
                 printf '[Socket]\\nBacklog=5\\n' >t@$((10001 + n)).socket.d/backlog.conf
                 ln -s ../s$n.socket sockets.target.wants
                 ln -s ../t@.socket sockets.target.wants/t@$((10001 + n)).socket
             done
             systemctl daemon-reload"
        ));
        let port = 10000 + last - 1;
        let output = machine.output(&format!("sockunit check new {port}"));
        let said = String::from_utf8(output.stdout).unwrap();
        let taken = format!(
            "s{}.socket is configured to listen on {port} (enabled",
            last - 1
        );
        assert!(said.contains(&taken), "{said}");
        let calls = machine.run(
            "strace -f -qq -o /root/calls sockunit check new 9 >/dev/null; wc -l </root/calls",
        );
        calls.trim().parse().unwrap()
    };
    let half = calls(1, 800);
    let all = calls(801, 1600);
    assert!(all < 5 * half / 2, "{half} calls for 800, {all} for 1600");
}
