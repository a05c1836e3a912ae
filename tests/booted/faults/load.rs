//! Changes of the system while clients are served.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::{SERVICES, expect_answer, expect_whole, of_user, serving, talk};
use crate::deb::{deb, next_deb};
use crate::machine::{Machine, Release};
use crate::support::wait_for;

on_both_releases!(
    no_client_is_refused_while_units_are_reloaded_restarted_upgraded_and_downgraded,
    a_reboot_under_load_leaves_no_failed_unit_and_all_sockets_listen,
);

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
