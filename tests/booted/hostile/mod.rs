//! A hostile program at each sandbox level, as a per-connection and as a shared service: what the manual says of each
//! level.

mod isolation;
mod limits;
mod permitted;

use crate::machine::{Machine, Release};

const ADDRESS: &str = "127.0.0.1:4000";

/// The user whose services some tests attach.
const ANN: &str = "ann";

/// A machine with a user that has a service manager.
fn with_user(release: Release) -> Machine {
    let machine = Machine::serving(release);
    machine.run(&format!(
        "useradd --create-home {ANN} && systemctl start user@$(id -u {ANN}).service"
    ));
    machine
}

fn program(machine: &Machine, text: &str) {
    machine.program("/usr/local/bin/hostile", text);
}

/// Runs sockunit with a command and options; as the user if `--user` is one of them.
fn sockunit(machine: &Machine, command: &str) -> String {
    match command.contains("--user ") {
        true => machine.run(&format!("su - {ANN} -c 'sockunit {command}'")),
        false => machine.run(&format!("sockunit {command}")),
    }
}

/// Attaches the program with these options while `test` runs.
fn attached<T>(machine: &Machine, options: &str, test: impl FnOnce() -> T) -> T {
    let user = match options.contains("--user ") {
        true => "--user ",
        false => "",
    };
    let program = "/usr/local/bin/hostile";
    sockunit(machine, &format!("add {options} hostile 4000 -- {program}"));
    let result = test();
    sockunit(machine, &format!("remove {user}hostile"));
    result
}

/// Whether the kernel, which is that of this machine, can keep processes from sending signals: from 6.12 on.
fn has_signal_scopes() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse().ok());
    (numbers.next(), numbers.next()) >= (Some(6u32), Some(12u32))
}
