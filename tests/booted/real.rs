//! `sockunit add` with programs from Debian that were written for inetd, and with what users ask of it.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::machine::{Machine, Release};
use crate::support::rest;

on_both_releases!(
    rsync_serves_a_module_on_its_registered_port,
    git_daemon_serves_a_clone_on_its_registered_port,
    a_web_server_svnserve_and_nrpe_serve_from_the_default_sandbox,
    repositories_are_written_as_their_owner,
    a_program_gets_its_directories_group_and_environment,
    options_are_replaced_under_load_without_a_refused_connection,
    ansible_attaches_a_service_twice_and_sees_that_nothing_changed,
    removal_of_the_package_names_the_attached_services,
    servers_that_start_as_root_serve_sessions_of_their_users,
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

/// Waits until a service has logged the end of this many connections that exited with status 0.
fn ended_well(machine: &Machine, service: &str, count: usize) {
    machine.journal_until(&format!("-t {service} -o cat"), "an end", |journal| {
        journal.matches(" exited 0: pid ").count() >= count
    });
}

fn a_web_server_svnserve_and_nrpe_serve_from_the_default_sandbox(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "mkdir /srv/web && head -c 3000000 /dev/urandom >/srv/web/data && svnadmin create /srv/svn
         svn mkdir --quiet --message one file:///srv/svn/trunk && chmod -R a+rX /srv
         echo 'command[words]=/bin/echo it works' >/etc/nagios/nrpe.d/words.cfg",
    );
    for kind in KINDS {
        machine.run(&format!(
            "sockunit add {kind} web 8080 -- micro-httpd /srv/web
             curl --silent --show-error --max-time 30 -o /tmp/data http://127.0.0.1:8080/data && cmp /tmp/data /srv/web/data
             sockunit add {kind} svn 3690 -- svnserve -i -r /srv/svn
             rm -rf /tmp/copy && svn checkout --quiet svn://127.0.0.1/ /tmp/copy && [ -d /tmp/copy/trunk ]
             sockunit add {kind} nrpe 5666 -- nrpe -c /etc/nagios/nrpe.cfg -i"
        ));
        let answer = machine.run("/usr/lib/nagios/plugins/check_nrpe -H 127.0.0.1 -c words");
        assert_eq!(answer, "it works");
        for service in ["web", "svn", "nrpe"] {
            ended_well(&machine, service, 1);
            machine.run(&format!("sockunit remove {service}"));
        }
        machine.run("journalctl --quiet --rotate --vacuum-time=1s 2>/dev/null");
    }
}

fn repositories_are_written_as_their_owner(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "useradd --system --create-home --home-dir /srv/keeper keeper && cd /srv/keeper
         svnadmin create svn && printf '[general]\nanon-access = write\n' >svn/conf/svnserve.conf
         git init --quiet --bare git/tale.git && git -C git/tale.git config daemon.receivepack true
         chown -R keeper: . && git config --global user.name you && git config --global user.email you@example.org",
    );
    for kind in KINDS {
        let add = format!("sockunit add {kind} --user-name keeper --sandbox standard");
        machine.run(&format!(
            "{add} svn 3690 -- svnserve -i -r /srv/keeper/svn
             {add} git 9418 -- git daemon --inetd --export-all --base-path=/srv/keeper/git
             rm -rf /tmp/copy /tmp/tale && svn checkout --quiet svn://127.0.0.1/ /tmp/copy && cd /tmp/copy
             echo once >story{kind} && svn add --quiet story{kind} && svn commit --quiet --message one
             svn cat svn://127.0.0.1/story{kind} | grep -q once
             git clone --quiet git://127.0.0.1/tale.git /tmp/tale 2>&1 && cd /tmp/tale
             echo once >story{kind} && git add . && git commit --quiet -m one && git push --quiet origin HEAD 2>&1
             git clone --quiet git://127.0.0.1/tale.git /tmp/tale/again && grep -q once again/story{kind}
             sockunit remove svn && sockunit remove git"
        ));
    }
}

fn ansible_attaches_a_service_twice_and_sees_that_nothing_changed(release: Release) {
    let machine = Machine::installed(release);
    let playbook = r"
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - command: sockunit add echo 4000 -- cat
      register: added
      changed_when: not added.stdout.startswith('unchanged')
";
    machine.write("/root/echo.yml", playbook);
    let play = || machine.run("LC_ALL=C.UTF-8 ansible-playbook /root/echo.yml");
    let first = play();
    assert!(
        first.contains("changed=1") && first.contains("failed=0"),
        "{first}"
    );
    let second = play();
    assert!(
        second.contains("changed=0") && second.contains("failed=0"),
        "{second}"
    );
    assert_eq!(machine.converse("127.0.0.1:4000", b"here"), b"here");
}

fn a_program_gets_its_directories_group_and_environment(release: Release) {
    let machine = Machine::installed(release);
    machine.program(
        "/usr/local/bin/tell",
        "#!/bin/sh\necho \"$(pwd) $(id -gn) $WORDS\"\necho call >>\"$HOME/calls\" && wc -l <\"$HOME/calls\"\n",
    );
    machine.run("groupadd readers");
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

/// A machine with a user, you, whose password is secret and whose home nobody else can enter.
fn with_user(release: Release) -> Machine {
    let machine = Machine::installed(release);
    machine.run(
        "useradd --create-home --shell /bin/bash you && echo you:secret | chpasswd
         head -c 300000 /dev/urandom >/home/you/data && chown you: /home/you/data && chmod 700 /home/you",
    );
    machine
}

fn servers_that_start_as_root_serve_sessions_of_their_users(release: Release) {
    let machine = with_user(release);
    machine.run(
        "ssh-keygen -q -t ed25519 -N '' -f /root/key && mkdir -m 700 /home/you/.ssh
         cp /root/key.pub /home/you/.ssh/authorized_keys && chown -R you: /home/you/.ssh
         sed -i 's/^listen_ipv6=YES/listen_ipv6=NO/; s/^#write_enable=YES/write_enable=YES/' /etc/vsftpd.conf
         cvs -d /srv/cvs init && chown -R you: /srv/cvs",
    );
    machine.write(
        "/etc/rsyncd.conf",
        "[you]\npath = /home/you\nuid = you\ngid = you\nread only = no\n",
    );
    machine.write(
        "/root/telnet.exp",
        "set timeout 60\nspawn telnet 127.0.0.1\nexpect login: { send you\\r }\nexpect assword: { send secret\\r }\n\
         expect -re {[$] } { send {echo \"I am $(id -un) in $HOME\"; exit} ; send \\r }\nexpect eof\n",
    );
    for kind in KINDS {
        let add = |service: &str| {
            machine.run(&format!(
                "sockunit add {kind} --sandbox privileged {service}"
            ))
        };
        let printed = machine.run(&format!("sockunit add {kind} shell 2222 -- sshd -i"));
        assert!(
            printed.contains("hint: a server that starts as root needs --sandbox privileged"),
            "{printed}"
        );
        machine.run("sockunit remove shell");
        add("shell 2222 -- sshd -i");
        let ssh = "ssh -p 2222 -i /root/key -o StrictHostKeyChecking=accept-new -o BatchMode=yes";
        let shown = machine.run(&format!(
            "{ssh} you@127.0.0.1 'id -un; echo kept >file; cat file; touch /tmp/x; touch /usr/x 2>&1 || :'
             {ssh} -tt you@127.0.0.1 'tty; exit 3' 2>&1 || echo exited $?"
        ));
        assert!(shown.starts_with("you\nkept\n"), "{shown}");
        assert!(shown.contains("/usr/x': Read-only file system"), "{shown}");
        assert!(
            shown.contains("/dev/pts/") && shown.ends_with("exited 3"),
            "{shown}"
        );

        add("files 21 -- vsftpd");
        machine.run(
            "ftp='curl --silent --show-error --max-time 30'
             $ftp -o /tmp/data ftp://you:secret@127.0.0.1/data && cmp /tmp/data /home/you/data
             $ftp --ftp-port - -o /tmp/data ftp://you:secret@127.0.0.1/data && cmp /tmp/data /home/you/data
             $ftp -T /tmp/data ftp://you:secret@127.0.0.1/up && cmp /tmp/data /home/you/up && rm /home/you/up",
        );

        add("cvs 2401 -- cvs -f --allow-root=/srv/cvs pserver");
        machine.run(
            "export CVSROOT=:pserver:you:secret@127.0.0.1:/srv/cvs; rm -rf /tmp/tale; mkdir /tmp/tale; cd /tmp/tale
             cvs login </dev/null && echo once >story && cvs -Q import -m one tale vendor first
             cd .. && rm -r tale && cvs -Q checkout tale && cd tale && grep -q once story
             echo twice >>story && cvs -Q commit -m two && rm story && cvs -Q update && grep -q twice story
             rm -r /srv/cvs/tale",
        );

        add("telnet 23 -- telnetd");
        let shown = machine.run("expect /root/telnet.exp");
        assert!(shown.contains("I am you in /home/you"), "{shown}");

        add("mirror 873 -- rsync --daemon");
        machine.run(
            "rsync rsync://127.0.0.1/you/data /tmp/data && cmp /tmp/data /home/you/data
             rsync /tmp/data rsync://127.0.0.1/you/up && cmp /tmp/data /home/you/up && rm /home/you/up",
        );

        for service in ["shell", "files", "cvs", "telnet", "mirror"] {
            machine.journal_until(&format!("-t {service} -o cat"), "a connection", |text| {
                text.contains(" bytes received, ")
            });
            machine.run(&format!("sockunit remove {service}"));
        }
        assert_eq!(machine.pgrep("-u you"), "");
    }
}
