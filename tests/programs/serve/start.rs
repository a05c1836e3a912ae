//! The start of the service, and programs that cannot be started.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::{Serve, path, rest};
use crate::serving::{Served, listening_address, tcp};
use crate::support::{PATIENCE, wait_until};
use crate::tool::SOCKUNIT;

fn serve(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(SOCKUNIT)
        .arg("serve")
        .args(args)
        .stdin(Stdio::null())
        .env_remove("LISTEN_FDS")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn an_error_at_start_up_is_one_line_before_its_hint_and_a_usage_error_has_exit_status_2() {
    let (folder, plain) = (path("folder"), path("plain"));
    fs::create_dir(&folder).unwrap();
    fs::write(&plain, "no program").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    let fifo = path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let listen = "--listen=127.0.0.1:0";
    let fifo_name = fifo.to_str().unwrap();
    let (folder_name, plain_name) = (folder.to_str().unwrap(), plain.to_str().unwrap());
    for (args, status, message) in [
        (
            &["--", "/bin/cat"][..],
            1,
            "hint: name an address with --listen, or",
        ),
        (
            &[listen, "--", "/no/such/program"],
            1,
            "cannot execute: /no/such/program: no such file",
        ),
        (
            &[listen, "--", "no-such-program"],
            1,
            "cannot execute: no-such-program: not found in PATH",
        ),
        (&[listen, "--", folder_name], 1, "not a regular file"),
        (
            &[listen, "--", plain_name],
            1,
            "hint: make it executable (chmod +x)",
        ),
        (
            &["--listen=3334", "--", "/bin/cat"],
            2,
            "'--listen <ADDRESS:PORT>': not an address and port; give one such as 127.0.0.1:3334, ",
        ),
        (
            &[listen, "--banner=/no/such", "--", "/bin/cat"],
            1,
            "cannot read the banner: /no/such: no such file",
        ),
        (
            &[listen, "--banner=/dev/zero", "--", "/bin/cat"],
            1,
            "cannot read the banner: /dev/zero: not a regular file",
        ),
        (
            &[listen, "--banner", fifo_name, "--", "/bin/cat"],
            1,
            ": not a regular file",
        ),
        (
            &[listen, "--banner=/bin/sh", "--", "/bin/cat"],
            1,
            "cannot send the banner: /bin/sh: all banners together have more than 16384 bytes",
        ),
        (&[listen], 2, "<PROGRAM>"),
        (
            &[listen, "/bin/cat"],
            2,
            "hint: put -- before the program\n    sockunit serve --listen=127.0.0.1:0 -- /bin/cat\n",
        ),
        (
            &[listen, "--rate=0", "--", "/bin/cat"],
            2,
            "give a number of connections",
        ),
        (
            &[listen, "--allow=localhost", "--", "/bin/cat"],
            2,
            "give an address, or a network",
        ),
        (
            &[listen, "--access-times=9-17", "--", "/bin/cat"],
            2,
            "give two times of day",
        ),
        (
            &[listen, "--message=later=x", "--", "/bin/cat"],
            2,
            "unknown reason \"later\"",
        ),
    ] {
        let (code, out, error) = serve(args);
        assert_eq!(
            (code, out.as_str()),
            (Some(status), ""),
            "{args:?}: {error}"
        );
        assert!(error.contains(message), "{args:?}: {error}");
        let mut further = error.lines().skip(1);
        assert!(
            status == 2 || further.all(|line| line.starts_with("hint: ")),
            "{error}"
        );
    }
    fs::remove_dir(folder).unwrap();
    fs::remove_file(plain).unwrap();
    fs::remove_file(fifo).unwrap();
}

#[test]
fn start_up_errors_go_to_the_journals_socket_or_else_to_its_stream() {
    for (arg, message) in [
        ("--listen=192.0.2.1:1", "cannot listen: 192.0.2.1:1: "),
        ("--rate=0", "give a number of connections"),
    ] {
        let (journal, stderr) = UnixStream::pair().unwrap();
        let stat = nix::sys::stat::fstat(&stderr).unwrap();
        let status = Command::new(SOCKUNIT)
            .args(["serve", arg, "--", "/bin/cat"])
            .env("JOURNAL_STREAM", format!("{}:{}", stat.st_dev, stat.st_ino))
            .stdin(Stdio::null())
            .stderr(OwnedFd::from(stderr))
            .status()
            .unwrap();
        assert!(!status.success());
        let stream = rest(journal);
        if UnixDatagram::unbound()
            .unwrap()
            .connect("/run/systemd/journal/socket")
            .is_ok()
        {
            assert_eq!(stream, "");
        } else {
            assert!(
                stream.starts_with("<3>") && stream.contains(message),
                "{stream}"
            );
            assert_eq!(stream.lines().count(), 1, "{stream}");
        }
    }
}

#[test]
fn a_usage_error_is_never_sent_to_a_client() {
    let (client, connection) = tcp("127.0.0.1");
    let args = ["serve", "--no-such-option"];
    let served = Served::start(SOCKUNIT, &args, connection, crate::serving::Stderr::Client);
    assert_eq!(served.ended().code(), Some(2));
    assert_eq!(rest(client), "");
}

#[test]
fn while_the_program_is_missing_clients_receive_a_message_and_each_is_logged() {
    let program = path("program");
    let write = |interpreter: &str| {
        fs::write(&program, format!("#!{interpreter}\necho here\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("/bin/sh");
    let serve = Serve::start(&[], &[program.to_str().unwrap()]);
    // execve(2) fails with ETXTBSY while another process has the file open for writing.
    let deadline = Instant::now() + PATIENCE;
    wait_until("the program is started", deadline, || {
        (serve.say() == "here\n").then_some(())
    });
    fs::remove_file(&program).unwrap();
    let message = "This service is out of order; please try again later\n";
    for _ in 0..3 {
        assert_eq!(serve.say(), message);
    }
    let entry = serve.until_logged("not started (no such file or directory)");
    assert!(entry.contains("127.0.0.1:"), "{entry}");
    write("/no/such/interpreter");
    assert_eq!(serve.say(), message);
    write("/bin/sh");
    let deadline = Instant::now() + PATIENCE;
    wait_until("the program is started again", deadline, || {
        (serve.say() == "here\n").then_some(())
    });
    fs::remove_file(program).unwrap();
}

#[test]
fn listen_opens_sockets_without_systemd() {
    let socket = path("socket");
    let mut child = Command::new(SOCKUNIT)
        .args(["serve", "--listen", "127.0.0.1:0", "--listen"])
        .arg(&socket)
        .args(["--name", "greeter", "--", "echo", "hello"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let client = std::net::TcpStream::connect(listening_address(child.id())).unwrap();
    assert_eq!(rest(client), "hello\n");
    assert_eq!(
        rest(std::os::unix::net::UnixStream::connect(&socket).unwrap()),
        "hello\n"
    );
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let log = rest(child.stderr.take().unwrap());
    assert!(child.wait().unwrap().success());
    assert!(log.starts_with("greeter: 127.0.0.1:"), "{log}");
    assert!(!socket.exists(), "the socket file is not removed");
}

#[test]
fn without_file_descriptors_clients_wait_and_are_served_later() {
    // The service cannot raise the limit above the hard limit that prlimit sets.
    let serve = Serve::start_by(&["prlimit", "--nofile=24:24"], &[], &["/bin/cat"]);
    let mut clients: Vec<_> = (0..40).map(|_| serve.connect()).collect();
    serve.until_logged("cannot accept connections: ");
    // Each is served when others have ended.
    while !clients.is_empty() {
        let mut client = clients.remove(0);
        std::io::Write::write_all(&mut client, b"x").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(rest(client), "x");
    }
}
