//! Limits on each source, and penalties.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Serve, line, rest};
use crate::support::{PATIENCE, wait_until};

const GREET: &str = "echo hello; exec cat";

#[test]
fn at_the_rate_limit_of_a_source_it_is_refused_and_others_are_served() {
    let serve = Serve::start(&["--rate-per-source=2/1h"], &["echo", "hello"]);
    let message =
        "Too many connections from your address in a short time; please try again later\n";
    for expected in ["hello\n", "hello\n", message] {
        assert_eq!(serve.say(), expected);
    }
    assert_eq!(rest(serve.connect_from(2)), "hello\n");
    serve.until_logged("refused: per-source rate limit reached");

    let options = ["--rate-per-source=2/1h", "--source-prefix=8,64"];
    let serve = Serve::start(&options, &["echo", "hello"]);
    for (source, expected) in [(1, "hello\n"), (2, "hello\n"), (3, message)] {
        assert_eq!(rest(serve.connect_from(source)), expected);
    }
}

#[test]
fn a_penalty_refuses_its_source_is_logged_once_and_ends() {
    let options = ["--per-source=1", "--penalty=2s"];
    let serve = Serve::script(&options, GREET);
    let mut first = serve.connect();
    assert_eq!(line(&mut first), "hello");
    assert_eq!(
        serve.say(),
        "Too many connections from your address; please try again later\n"
    );
    let begun = Instant::now();
    drop(first);
    let refused = "Your address is refused for some time; please try again later\n";
    for _ in 0..20 {
        assert_eq!(serve.say(), refused);
    }
    let mut other = serve.connect_from(2);
    assert_eq!(line(&mut other), "hello");
    wait_until("the penalty ends", Instant::now() + PATIENCE, || {
        let mut client = serve.connect();
        (line(&mut client) == "hello").then_some(())
    });
    assert!(begun.elapsed() >= Duration::from_millis(1900));
    let log = serve.log();
    let entries = log
        .lines()
        .filter(|line| line.contains("127.0.0.1: penalty"));
    assert_eq!(
        entries.collect::<Vec<_>>(),
        ["sh: 127.0.0.1: penalty of 2s: per-source limit reached"],
        "{log}"
    );
    assert!(!log.contains("refused: penalty"), "{log}");
}

#[test]
fn a_source_that_times_out_gets_a_penalty() {
    let options = ["--idle-timeout=300ms", "--penalty=1h"];
    let serve = Serve::start(&options, &["cat"]);
    assert_eq!(rest(serve.connect()), "");
    serve.until_logged("127.0.0.1: penalty of 1h: idle timeout, killed by SIGTERM");
    assert_eq!(
        serve.say(),
        "Your address is refused for some time; please try again later\n"
    );
    assert_eq!(line_of_cat(serve.connect_from(2)), "x");
}

/// Sends a line to cat, and returns the answer.
fn line_of_cat(mut client: TcpStream) -> String {
    client.write_all(b"x\n").unwrap();
    line(&mut client)
}

#[test]
fn a_flood_of_refused_connections_is_logged_once_a_second() {
    let serve = Serve::script(&["--per-source=1"], GREET);
    let mut first = serve.connect();
    assert_eq!(line(&mut first), "hello");
    let begun = Instant::now();
    for _ in 0..500 {
        serve.say();
    }
    let seconds = begun.elapsed().as_secs() as usize + 1;
    serve.until_logged("refused: per-source limit reached; 0 bytes received");
    let log = serve.log();
    // One entry, and one sum of the others.
    assert!(log.lines().count() <= 2 * seconds + 1, "{log}");
}
