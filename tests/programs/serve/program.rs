//! The execution environment of a program.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use super::{Serve, line, path, rest};
use crate::serving::Served;
use crate::support::PATIENCE;
use crate::tool::SOCKUNIT;

#[test]
fn the_connection_is_standard_input_and_output() {
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
fn remote_addr_is_the_name_of_an_af_unix_peer() {
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

#[test]
fn a_local_client_cannot_choose_an_ip_address_as_its_own() {
    let directory = path("chosen");
    fs::create_dir(&directory).unwrap();
    let here = directory.join("here");
    let listener = UnixListener::bind(&here).unwrap();
    let command = ["serve", "--", "sh", "-c", "echo \"${REMOTE_ADDR-none}\""];
    let served = Served::share(SOCKUNIT, &command, listener.into());
    let client = "use IO::Socket::UNIX; my ($own, $peer) = @ARGV;
        my $socket = IO::Socket::UNIX->new(Local => $own, Peer => $peer) or die $!;
        print <$socket>";
    let control = directory.join("a\nb");
    for own in [
        "192.0.2.7",
        "@192.0.2.7",
        control.to_str().unwrap(),
        "\u{1}a",
    ] {
        let output = Command::new("perl")
            .args(["-e", client, own, "here"])
            .current_dir(&directory)
            .output()
            .unwrap();
        let answer = String::from_utf8_lossy(&output.stdout);
        assert_eq!(answer, "none\n", "{own:?}: {output:?}");
    }
    assert!(served.end().success());
    fs::remove_dir_all(directory).unwrap();
}

/// Connects from a socket that is bound to a path.
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
fn the_environment_has_the_client_and_no_variables_of_the_service() {
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
    let output = rest(client);
    let mut names: Vec<&str> = output.lines().collect();
    names.sort_unstable();
    // The shell that started the service has set PWD.
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
fn no_file_descriptors_above_2_are_open() {
    let by = ["sh", "-c", "exec \"$0\" \"$@\" 9</dev/null 8>/dev/null"];
    let command = ["sh", "-c", "echo /proc/self/fd/*; cat"];
    let serve = Serve::start_by(&by, &[], &command);
    let mut clients: Vec<TcpStream> = (0..20).map(|_| serve.connect()).collect();
    for client in &mut clients {
        // Descriptor 3 is the directory that the shell reads.
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
    // As under nohup, and with all signals that the test runner ignores.
    let by = ["sh", "-c", "trap '' HUP INT USR1; exec \"$0\" \"$@\""];
    let serve = Serve::start_by(
        &by,
        &[],
        &["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"],
    );
    let output = serve.say();
    let masks: Vec<u64> = output
        .lines()
        .filter_map(|line| u64::from_str_radix(line.split('\t').nth(1)?, 16).ok())
        .collect();
    // The C library uses signals 32 and 33 itself, and posix_spawn(3) leaves them ignored.
    assert_eq!(
        masks
            .iter()
            .map(|mask| mask & !(3 << 31))
            .collect::<Vec<_>>(),
        [0, 0],
        "{output}"
    );
}

#[test]
fn the_descriptor_limit_is_not_raised_above_what_the_service_needs() {
    // Some programs close every descriptor below the limit.
    let by = ["prlimit", "--nofile=1000:4000"];
    let serve = Serve::start_by(&by, &[], &["sh", "-c", "ulimit -n"]);
    assert_eq!(serve.say(), "1000\n");
    let needs_more = Serve::start_by(&by, &["--max-connections=2000"], &["sh", "-c", "ulimit -n"]);
    assert_eq!(needs_more.say(), "2256\n");
}

#[test]
fn the_program_has_its_own_process_group() {
    let serve = Serve::script(&[], "cut -d' ' -f1,5 /proc/$$/stat");
    let output = serve.say();
    let (pid, group) = output.trim().split_once(' ').unwrap();
    assert_eq!(pid, group);
}

#[test]
fn standard_error_is_that_of_the_service() {
    let serve = Serve::script(&[], "echo oops >&2; echo out");
    assert_eq!(serve.say(), "out\n");
    serve.until_logged("oops");
}

#[test]
fn the_program_has_another_name_if_asked() {
    for name in ["cat", "-sh", "", "a b"] {
        let serve = Serve::start(
            &["--program-name", name],
            &["sh", "-c", "tr '\\0' '|' </proc/$$/cmdline"],
        );
        assert!(serve.say().starts_with(&format!("{name}|-c|")), "{name}");
    }
}

#[test]
fn arguments_are_passed_unchanged() {
    let command = ["printf", "%s|", "a b", "", "$HOME", "\"'\\", "--help", "é%"];
    let serve = Serve::start(&[], &command);
    assert_eq!(serve.say(), "a b||$HOME|\"'\\|--help|é%|");
}
