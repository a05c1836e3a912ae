//! How it starts, and what it does when a program cannot be started.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::{Serve, path, rest};
use crate::serving::{PATIENCE, Served, tcp, wait_until};
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
fn what_cannot_be_served_is_told_in_one_sentence_before_anything_listens() {
    let (folder, plain) = (path("folder"), path("plain"));
    fs::create_dir(&folder).unwrap();
    fs::write(&plain, "no program").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    let listen = "--listen=127.0.0.1:0";
    let (folder_name, plain_name) = (folder.to_str().unwrap(), plain.to_str().unwrap());
    for (args, status, words) in [
        (&["--", "/bin/cat"][..], 1, "cannot listen: no address"),
        (
            &[listen, "--", "/no/such/program"],
            1,
            "cannot execute /no/such/program: No such file",
        ),
        (
            &[listen, "--", "no-such-program"],
            1,
            "cannot execute no-such-program: not found in PATH",
        ),
        (&[listen, "--", folder_name], 1, "not a regular file"),
        (
            &[listen, "--", plain_name],
            1,
            "make it executable (chmod +x)",
        ),
        (
            &["--listen=3334", "--", "/bin/cat"],
            1,
            "cannot listen: 3334: give an address and port",
        ),
        (
            &[listen, "--banner=/no/such", "--", "/bin/cat"],
            1,
            "cannot read the banner: /no/such: No such file",
        ),
        (&[listen], 2, "<PROGRAM>"),
        (&[listen, "/bin/cat"], 2, "/bin/cat"),
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
        let (code, out, told) = serve(args);
        assert_eq!((code, out.as_str()), (Some(status), ""), "{args:?}: {told}");
        assert!(told.contains(words), "{args:?}: {told}");
        assert!(status == 2 || told.lines().count() == 1, "{told}");
    }
    fs::remove_dir(folder).unwrap();
    fs::remove_file(plain).unwrap();
}

#[test]
fn a_mistake_is_nothing_for_a_client() {
    let (client, connection) = tcp("127.0.0.1");
    let args = ["serve", "--no-such-option"];
    let served = Served::start(SOCKUNIT, &args, connection, crate::serving::Stderr::Client);
    assert_eq!(served.ended().code(), Some(2));
    assert_eq!(rest(client), "");
}

#[test]
fn a_program_that_vanishes_costs_a_sentence_and_a_record_each_and_may_come_back() {
    let program = path("program");
    let write = |interpreter: &str| {
        fs::write(&program, format!("#!{interpreter}\necho here\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("/bin/sh");
    let serve = Serve::start(&[], &[program.to_str().unwrap()]);
    // As long as somebody has it open for writing, it is busy.
    let deadline = Instant::now() + PATIENCE;
    wait_until("it is served", deadline, || {
        (serve.say() == "here\n").then_some(())
    });
    fs::remove_file(&program).unwrap();
    let sorry = "This service is out of order; please try again later\n";
    for _ in 0..3 {
        assert_eq!(serve.say(), sorry);
    }
    let record = serve.until_told("not started (No such file or directory)");
    assert!(record.contains("127.0.0.1:"), "{record}");
    write("/no/such/interpreter");
    assert_eq!(serve.say(), sorry);
    write("/bin/sh");
    let deadline = Instant::now() + PATIENCE;
    wait_until("it is served again", deadline, || {
        (serve.say() == "here\n").then_some(())
    });
    fs::remove_file(program).unwrap();
}

#[test]
fn listen_opens_the_addresses_itself() {
    let socket = path("socket");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut child = Command::new(SOCKUNIT)
        .args(["serve", "--listen", &port.to_string(), "--listen"])
        .arg(&socket)
        .args(["--name", "greeter", "--", "echo", "hello"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let client = wait_until("it listens", deadline, || {
        std::net::TcpStream::connect(port).ok()
    });
    assert_eq!(rest(client), "hello\n");
    assert_eq!(
        rest(std::os::unix::net::UnixStream::connect(&socket).unwrap()),
        "hello\n"
    );
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let told = rest(child.stderr.take().unwrap());
    assert!(child.wait().unwrap().success());
    assert!(told.starts_with("greeter: 127.0.0.1:"), "{told}");
    assert!(!socket.exists(), "the socket's file is gone with it");
}

#[test]
fn without_descriptors_clients_wait_and_are_served_then() {
    // prlimit execs the program, which can raise the limit no further than this.
    let serve = Serve::start_by(&["prlimit", "--nofile=24:24"], &[], &["/bin/cat"]);
    let mut clients: Vec<_> = (0..40).map(|_| serve.connect()).collect();
    serve.until_told("cannot accept connections: ");
    // Each is served in its turn, as others leave.
    while !clients.is_empty() {
        let mut client = clients.remove(0);
        std::io::Write::write_all(&mut client, b"x").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(rest(client), "x");
    }
}
