//! `sockunit add` with programs from Debian that were written for inetd, and with what users ask of it.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::machine::{Machine, Release};
use crate::support::rest;

on_both_releases!(
    rsync_serves_a_module_on_its_registered_port,
    git_daemon_serves_a_clone_on_its_registered_port,
    a_program_gets_its_directories_group_and_environment,
    options_are_replaced_under_load_without_a_refused_connection,
    removal_of_the_package_names_the_attached_services,
);

const KINDS: [&str; 2] = ["", "--shared"];

fn rsync_serves_a_module_on_its_registered_port(release: Release) {
    let machine = Machine::installed(release);
    machine
        .run("mkdir /srv/pub && head -c 300000 /dev/urandom >/srv/pub/data && chmod -R a+rX /srv");
    machine.write(
        "/etc/rsyncd.conf",
        "use chroot = no\n[pub]\npath = /srv/pub\n",
    );
    let services = machine.run("cat /etc/services");
    // The port is registered, the program is found in PATH, and Debian's rsync.service is not active. A shared service
    // would overwrite it, and has another name.
    for (kind, name) in [("", "rsync"), ("--shared", "mirror")] {
        machine.run(&format!("sockunit add {kind} {name} 873 -- rsync --daemon"));
        machine.run(&format!(
            "rsync rsync://localhost/pub/data /tmp/data && cmp /tmp/data /srv/pub/data && rm /tmp/data
             sockunit doctor {name}"
        ));
        assert_eq!(machine.run("cat /etc/services"), services);
        machine.run(&format!("sockunit remove {name}"));
    }
}

fn git_daemon_serves_a_clone_on_its_registered_port(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "git init --quiet --bare /srv/git/tale.git && git clone --quiet /srv/git/tale.git /root/tale 2>&1
         cd /root/tale && git config user.name you && git config user.email you@example.org
         echo once >story && git add story && git commit --quiet -m once && git push --quiet origin HEAD 2>&1
         chmod -R a+rX /srv",
    );
    for kind in KINDS {
        machine.run(&format!(
            "sockunit add {kind} --env GIT_CONFIG_COUNT=1 --env GIT_CONFIG_KEY_0=safe.directory --env 'GIT_CONFIG_VALUE_0=*' \\
                 git 9418 -- git daemon --inetd --export-all --base-path=/srv/git
             git clone --quiet git://localhost/tale.git /tmp/tale && grep -q once /tmp/tale/story && rm -r /tmp/tale
             sockunit remove git"
        ));
    }
}

fn a_program_gets_its_directories_group_and_environment(release: Release) {
    let machine = Machine::installed(release);
    machine.write(
        "/usr/local/bin/tell",
        "#!/bin/sh\necho \"$(pwd) $(id -gn) $WORDS\"\necho call >>\"$HOME/calls\" && wc -l <\"$HOME/calls\"\n",
    );
    machine.run("chmod 755 /usr/local/bin/tell && groupadd readers");
    for (index, kind) in KINDS.iter().enumerate() {
        machine.run(&format!(
            "sockunit add {kind} --state --directory /usr/share --group readers --env 'WORDS=100% $HOME \"q\"' tell 4000 -- tell"
        ));
        let calls = [1, 2, 3].map(|_| {
            let mut output = String::new();
            let mut client = machine.connect("127.0.0.1:4000");
            client.read_to_string(&mut output).unwrap();
            let (first, calls) = output.split_once('\n').unwrap();
            assert_eq!(first, "/usr/share readers 100% $HOME \"q\"");
            calls.trim().parse::<usize>().unwrap()
        });
        // The probe of add was the first; the directory stays when the service is removed.
        let before = 4 * index + 1;
        assert_eq!(calls, [1, 2, 3].map(|call| before + call));
        machine.run("sockunit remove tell");
    }
}

fn options_are_replaced_under_load_without_a_refused_connection(release: Release) {
    let machine = &Machine::installed(release);
    for kind in KINDS {
        let add = |options: &str| {
            machine.run(&format!(
                "sockunit add {kind} {options} echo 4000 -- echo here"
            ))
        };
        add("");
        let again = add("");
        assert_eq!(
            again,
            "unchanged: echo is attached with these options already"
        );
        let stop = &AtomicBool::new(false);
        let served = &AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(rest(machine.connect("127.0.0.1:4000")), "here\n");
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            for count in [100, 101, 102] {
                let printed = add(&format!("--replace --max-connections {count}"));
                assert!(printed.contains("answers:\n    \"here\""), "{printed}");
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!(served.load(Ordering::Relaxed) > 0);
        let unit = match kind {
            "" => "echo.socket",
            _ => "echo.service",
        };
        let text = machine.run(&format!("cat /etc/systemd/system/{unit}"));
        assert!(text.contains("102"), "{text}");
        machine.run("sockunit remove echo");
    }
}

fn removal_of_the_package_names_the_attached_services(release: Release) {
    let machine = Machine::installed(release);
    machine.run("sockunit add one 4000 -- cat; sockunit add two 4001 --shared -- cat");
    let printed = machine.run("apt-get remove --yes sockunit 2>&1");
    assert!(
        printed.contains(
            "these attached services remain, and do not start without the package: one two"
        ),
        "{printed}"
    );
    assert!(printed.contains("sockunit remove NAME"), "{printed}");
}
