//! Limits, access rules and timeouts.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Serve, line, path, rest};
use crate::serving::stays_silent;
use crate::support::{PATIENCE, wait_until};

const GREET: &str = "echo hello; exec cat";

/// Returns whether a client receives nothing for a while.
#[track_caller]
fn waits(client: &mut TcpStream) -> bool {
    stays_silent(client, Duration::from_millis(300))
}

/// Waits until the machine has a load average, and causes one if it has none. The kernel computes it every
/// five seconds.
fn until_loaded() {
    let loaded = AtomicBool::new(false);
    let deadline = Instant::now() + PATIENCE;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !loaded.load(Ordering::Relaxed) && Instant::now() < deadline {
                std::hint::spin_loop();
            }
        });
        wait_until("the machine has a load average", deadline, || {
            let load = nix::sys::sysinfo::sysinfo().unwrap().load_average().0;
            (load > 0.01).then_some(())
        });
        loaded.store(true, Ordering::Relaxed);
    });
}

#[test]
fn at_the_concurrency_limit_clients_wait_or_are_refused() {
    let serve = Serve::script(&["--max-connections=1"], GREET);
    let mut first = serve.connect();
    assert_eq!(line(&mut first), "hello");
    let mut second = serve.connect();
    assert!(waits(&mut second));
    drop(first);
    assert_eq!(line(&mut second), "hello");

    let serve = Serve::script(&["--max-connections=1", "--when-full=refuse"], GREET);
    let mut first = serve.connect();
    assert_eq!(line(&mut first), "hello");
    assert_eq!(
        serve.say(),
        "Too many connections; please try again later\n"
    );
    serve.until_logged("refused: concurrency limit reached: 0 bytes received, 45 bytes sent");
}

#[test]
fn at_the_per_source_limit_clients_are_refused() {
    let serve = Serve::script(&["--per-source=1"], GREET);
    let mut first = serve.connect();
    assert_eq!(line(&mut first), "hello");
    assert_eq!(
        serve.say(),
        "Too many connections from your address; please try again later\n"
    );
}

#[test]
fn at_the_rate_limit_clients_wait_or_are_refused() {
    let serve = Serve::start(&["--rate=2/2s"], &["echo", "hello"]);
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(serve.say(), "hello\n");
    }
    assert!(begun.elapsed() >= Duration::from_secs(4));

    let serve = Serve::start(&["--rate=2/1h", "--when-full=refuse"], &["echo", "hello"]);
    assert_eq!(serve.say(), "hello\n");
    assert_eq!(serve.say(), "hello\n");
    for _ in 0..3 {
        assert_eq!(
            serve.say(),
            "Too many connections in a short time; please try again later\n"
        );
    }
    serve.until_logged("refused: rate limit reached");
}

#[test]
fn a_rate_pause_extends_the_time_without_connections() {
    let serve = Serve::start(&["--rate=1/1ms", "--rate-pause=2s"], &["echo", "hello"]);
    let begun = Instant::now();
    assert_eq!(serve.say(), "hello\n");
    assert_eq!(serve.say(), "hello\n");
    assert!(begun.elapsed() >= Duration::from_secs(2));
}

#[test]
fn at_the_load_limit_clients_wait_or_are_refused() {
    until_loaded();
    let serve = Serve::start(
        &["--max-load=0.001", "--when-full=refuse"],
        &["echo", "hello"],
    );
    assert_eq!(serve.say(), "Too busy; please try again later\n");
    let serve = Serve::start(&["--max-load=0.001"], &["echo", "hello"]);
    assert!(waits(&mut serve.connect()));
    let serve = Serve::start(&["--max-load=100000"], &["echo", "hello"]);
    assert_eq!(serve.say(), "hello\n");
}

#[test]
fn outside_the_access_times_clients_are_refused() {
    // Tests run the service with TZ=UTC.
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let hour = now.as_secs() / 3600 % 24;
    let span = |from: u64, to: u64| format!("--access-times={:02}:00-{:02}:00", from % 24, to % 24);
    // The next hour may begin during the test.
    let open = Serve::start(&[&span(hour, hour + 2)], &["echo", "hello"]);
    assert_eq!(open.say(), "hello\n");
    let shut = [span(hour + 2, hour + 3), span(hour + 5, hour)];
    let closed = Serve::start(&[&shut[0], &shut[1]], &["echo", "hello"]);
    assert_eq!(closed.say(), "This service is closed at this time of day\n");
    closed.until_logged("refused: outside the access times");
}

#[test]
fn a_denied_address_is_refused_even_if_it_is_allowed() {
    for (options, served) in [
        (&["--allow=127.0.0.0/8"][..], true),
        (&["--allow=192.0.2.0/24", "--allow=::1"], false),
        (&["--deny=192.0.2.0/24"], true),
        (&["--deny=127.0.0.1"], false),
        (&["--allow=127.0.0.0/8", "--deny=127.0.0.1/32"], false),
    ] {
        let serve = Serve::start(options, &["echo", "hello"]);
        let message = if served {
            "hello\n"
        } else {
            "Your address may not use this service\n"
        };
        assert_eq!(serve.say(), message, "{options:?}");
    }
}

#[test]
fn banners_and_messages_can_be_set() {
    let (welcome, sorry) = (path("welcome"), path("sorry"));
    fs::write(&welcome, "Welcome!\n").unwrap();
    fs::write(&sorry, "Sorry.\n").unwrap();
    let options = [
        &format!("--banner={}", welcome.display()),
        &format!("--refused-banner={}", sorry.display()),
        "--message=full=Come back tomorrow",
        "--message=source=",
        "--max-connections=2",
        "--per-source=1",
        "--when-full=refuse",
    ];
    let serve = Serve::script(&options, GREET);
    let mut first = serve.connect();
    assert_eq!(
        (line(&mut first), line(&mut first)),
        ("Welcome!".into(), "hello".into())
    );
    assert_eq!(serve.say(), "Sorry.\n");
    // Several files are sent in their order, and one message can be for all reasons.
    let both = [
        options[1],
        options[0],
        options[1],
        "--message=all=",
        "--deny=127.0.0.0/8",
    ];
    let serve = Serve::script(&both, GREET);
    assert_eq!(serve.say(), "Sorry.\nSorry.\n");
    let both = [options[0], &options[1].replace("--refused-", "--")];
    let serve = Serve::script(&both, "echo hello");
    assert_eq!(serve.say(), "Welcome!\nSorry.\nhello\n");
    let serve = Serve::script(
        &[
            options[0],
            options[1],
            options[2],
            "--max-connections=1",
            "--when-full=refuse",
        ],
        GREET,
    );
    let mut first = serve.connect();
    assert_eq!(line(&mut first), "Welcome!");
    assert_eq!(serve.say(), "Sorry.\nCome back tomorrow\n");
    for path in [welcome, sorry] {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn at_the_idle_timeout_the_program_is_stopped() {
    let serve = Serve::start(&["--idle-timeout=700ms"], &["cat"]);
    let mut client = serve.connect();
    // Bytes in either direction restart the timeout.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        client.write_all(b"x\n").unwrap();
        assert_eq!(line(&mut client), "x");
        std::thread::sleep(Duration::from_millis(200));
    }
    let last_byte = Instant::now();
    assert_eq!(rest(client), "");
    assert!(last_byte.elapsed() >= Duration::from_millis(400));
    serve.until_logged("idle timeout, killed by SIGTERM: ");
    let serve = Serve::script(
        &["--idle-timeout=700ms"],
        "for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done",
    );
    assert_eq!(serve.say(), "1\n2\n3\n4\n5\n6\n");
}

#[test]
fn a_client_that_does_not_read_is_idle() {
    let serve = Serve::start(&["--idle-timeout=500ms"], &["yes"]);
    let _client = serve.connect();
    serve.until_logged("idle timeout, killed by SIGTERM: ");
}

#[test]
fn at_the_idle_timeout_the_program_of_an_af_unix_client_is_stopped() {
    use std::os::unix::net::{UnixListener, UnixStream};
    let here = path("here");
    let listener = UnixListener::bind(&here).unwrap();
    let args = ["serve", "--idle-timeout=700ms", "--", "cat"];
    let served = crate::serving::Served::share(crate::tool::SOCKUNIT, &args, listener.into());
    let mut client = UnixStream::connect(&here).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        client.write_all(b"x\n").unwrap();
        assert_eq!(line(&mut client), "x");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(rest(client), "");
    assert!(served.end().success());
    fs::remove_file(here).unwrap();
}

#[test]
fn at_the_time_limit_an_active_program_is_stopped() {
    let serve = Serve::start(&["--time-limit=700ms"], &["yes"]);
    let mut client = serve.connect();
    let begun = Instant::now();
    let mut scrap = vec![0; 65536];
    while client.read(&mut scrap).unwrap() > 0 {
        assert!(begun.elapsed() < PATIENCE, "the program was not stopped");
    }
    assert!(begun.elapsed() >= Duration::from_millis(600));
    serve.until_logged("time limit reached, killed by SIGTERM: ");
}
