//! What a program finds.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

use super::{Serve, line, path, rest};
use crate::serving::Served;
use crate::support::PATIENCE;
use crate::tool::SOCKUNIT;

#[test]
fn the_connection_is_its_standard_input_and_output() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let served = Served::share(SOCKUNIT, &["serve", "--", "/bin/cat"], listener.into());
        let mut clients: Vec<TcpStream> = (0..10)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        for (number, mut client) in clients.into_iter().enumerate() {
            assert_eq!(line(&mut client), number.to_string());
            client.write_all(b"last").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(rest(client), "last");
        }
        assert!(served.end().success());
    }
}

#[test]
fn on_an_af_unix_socket_it_is_told_the_name_of_the_other() {
    let (here, there) = (path("here"), path("there"));
    let listener = UnixListener::bind(&here).unwrap();
    let script = "echo \"$REMOTE_ADDR:$REMOTE_PORT:$REMOTE_HOST\"; cat";
    let command = ["serve", "--", "sh", "-c", script];
    let served = Served::share(SOCKUNIT, &command, listener.into());
    let mut client = UnixStream::connect(&here).unwrap();
    assert_eq!(line(&mut client), "::");
    client.write_all(b"x").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(client), "x");
    let mut client = connect_from(&there, &here);
    assert_eq!(line(&mut client), format!("{}::", there.display()));
    drop(client);
    assert!(served.end().success());
    for path in [here, there] {
        fs::remove_file(path).unwrap();
    }
}

/// Connects with a socket that has a name itself.
fn connect_from(own: &std::path::Path, to: &std::path::Path) -> UnixStream {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, socket};
    use std::os::fd::AsRawFd;
    let socket = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    bind(socket.as_raw_fd(), &UnixAddr::new(own).unwrap()).unwrap();
    connect(socket.as_raw_fd(), &UnixAddr::new(to).unwrap()).unwrap();
    let client = UnixStream::from(socket);
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

#[test]
fn its_environment_names_the_client_and_nothing_of_the_service() {
    let by = [
        "env",
        "NOTIFY_SOCKET=/nowhere",
        "WATCHDOG_USEC=1000000",
        "LISTEN_FDNAMES=x",
        "REMOTE_HOST=forged",
        "REMOTE_USER=forged",
        "OWN=kept",
    ];
    let serve = Serve::start_by(&by, &[], &["env"]);
    let client = serve.connect();
    let port = client.local_addr().unwrap().port();
    let told = rest(client);
    let mut names: Vec<&str> = told.lines().collect();
    names.sort_unstable();
    // The shell that started the service has added it.
    names.retain(|name| !name.starts_with("PWD="));
    let expected = [
        "OWN=kept",
        "PATH=/usr/bin:/bin",
        "REMOTE_ADDR=127.0.0.1",
        "REMOTE_HOST=127.0.0.1",
        &format!("REMOTE_PORT={port}"),
        "TZ=UTC",
    ];
    assert_eq!(names, expected);
}

#[test]
fn it_has_no_descriptor_but_its_own_three() {
    let by = ["sh", "-c", "exec \"$0\" \"$@\" 9</dev/null 8>/dev/null"];
    let command = ["sh", "-c", "echo /proc/self/fd/*; cat"];
    let serve = Serve::start_by(&by, &[], &command);
    let mut clients: Vec<TcpStream> = (0..20).map(|_| serve.connect()).collect();
    for client in &mut clients {
        // The folder that the shell reads is 3.
        let seen = line(client);
        let fds: Vec<&str> = seen
            .split(' ')
            .filter_map(|path| path.rsplit('/').next())
            .collect();
        assert_eq!(fds, ["0", "1", "2", "3"], "{seen}");
    }
}

#[test]
fn no_signal_is_blocked_or_ignored() {
    // As nohup starts it, and with whatever the tests themselves ignore.
    let by = ["sh", "-c", "trap '' HUP INT USR1; exec \"$0\" \"$@\""];
    let serve = Serve::start_by(
        &by,
        &[],
        &["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"],
    );
    let told = serve.say();
    let masks: Vec<u64> = told
        .lines()
        .filter_map(|line| u64::from_str_radix(line.split('\t').nth(1)?, 16).ok())
        .collect();
    // The C library keeps 32 and 33 to itself, and has them ignored in whatever posix_spawn(3) starts.
    assert_eq!(
        masks
            .iter()
            .map(|mask| mask & !(3 << 31))
            .collect::<Vec<_>>(),
        [0, 0],
        "{told}"
    );
}

#[test]
fn it_may_have_no_more_descriptors_than_the_service_was_given() {
    // Many a program closes every descriptor below the limit.
    let by = ["prlimit", "--nofile=1000:4000"];
    let serve = Serve::start_by(&by, &[], &["sh", "-c", "ulimit -n"]);
    assert_eq!(serve.say(), "1000\n");
    let needs_more = Serve::start_by(&by, &["--max-connections=2000"], &["sh", "-c", "ulimit -n"]);
    assert_eq!(needs_more.say(), "2256\n");
}

#[test]
fn it_leads_a_process_group_of_its_own() {
    let serve = Serve::script(&[], "cut -d' ' -f1,5 /proc/$$/stat");
    let told = serve.say();
    let (pid, group) = told.trim().split_once(' ').unwrap();
    assert_eq!(pid, group);
}

#[test]
fn its_standard_error_is_that_of_the_service() {
    let serve = Serve::script(&[], "echo oops >&2; echo out");
    assert_eq!(serve.say(), "out\n");
    serve.until_told("oops");
}

#[test]
fn its_arguments_reach_it_unchanged() {
    let words = ["printf", "%s|", "a b", "", "$HOME", "\"'\\", "--help", "é%"];
    let serve = Serve::start(&[], &words);
    assert_eq!(serve.say(), "a b||$HOME|\"'\\|--help|é%|");
}
