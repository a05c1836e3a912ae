//! Services on several addresses.

use super::tree::{SERVICES, Tree};

#[test]
fn addresses_that_another_covers_are_left_out() {
    for (listen, lines) in [
        (&["*", "::"][..], &["ListenStream=4000"][..]),
        (&["0.0.0.0", "127.0.0.1"], &["ListenStream=0.0.0.0:4000"]),
        (
            &[
                "127.0.0.1",
                "127.0.0.1:4000",
                "*:4001",
                "[::1]:4001",
                "/run/x",
            ],
            &[
                "ListenStream=127.0.0.1:4000",
                "ListenStream=4001",
                "ListenStream=/run/x",
            ],
        ),
        (
            &["*:4001", "[::]:80"],
            &[
                "ListenStream=0.0.0.0:4001",
                "ListenStream=[::]:4001",
                "ListenStream=[::]:80",
                "BindIPv6Only=ipv6-only",
            ],
        ),
        (
            &["::1", "::", "127.0.0.1"],
            &[
                "ListenStream=[::]:4000",
                "ListenStream=127.0.0.1:4000",
                "BindIPv6Only=ipv6-only",
            ],
        ),
    ] {
        let tree = Tree::new("covered");
        let mut arguments: Vec<&str> = listen.iter().flat_map(|a| ["--listen", a]).collect();
        arguments.extend(["greeter", "4000", "--", "/bin/sh"]);
        tree.add(&arguments);
        let socket = tree.read("etc/systemd/system/greeter.socket");
        let stdout: Vec<&str> = socket
            .lines()
            .filter(|line| line.starts_with("ListenStream=") || line.starts_with("BindIPv6Only="))
            .collect();
        assert_eq!(stdout, lines);
    }
}

#[test]
fn several_addresses_are_added_again_replaced_listed_and_removed() {
    let tree = Tree::new("several");
    let before = tree.snapshot();
    let add = |addresses: &[&str]| {
        let listen: Vec<&str> = addresses.iter().flat_map(|a| ["--listen", a]).collect();
        let words = ["greeter", "4000", "--", "/bin/sh"];
        tree.run("add", &[&listen[..], &words].concat())
    };
    let addresses = ["[::1]:4000", "127.0.0.1:4001", "/run/greeter.sock"];
    assert_eq!(add(&addresses).status, Some(0));
    let again = add(&["::1", "127.0.0.1:4001", "/run/greeter.sock"]);
    assert!(again.stdout.starts_with("unchanged: "), "{}", again.stderr);
    let listed = tree.run("list", &[]).stdout;
    for address in ["[::1]:4000", "127.0.0.1:4001", "/run/greeter.sock"] {
        assert!(listed.contains(address), "{listed}");
    }
    let other = add(&["::1", "127.0.0.1:4001", "/run/greeter"]);
    assert_eq!(other.status, Some(1));
    for line in [
        "\n- ListenStream=/run/greeter.sock\n",
        "\n+ ListenStream=/run/greeter\n",
    ] {
        assert!(other.stdout.contains(line), "{}", other.stdout);
    }
    assert!(
        tree.read("etc/services")
            .contains("greeter          4000/tcp")
    );
    // No address has the port of the service any more.
    tree.add(&[
        "--replace",
        "--listen",
        "/run/greeter",
        "greeter",
        "4000",
        "--",
        "/bin/sh",
    ]);
    assert_eq!(tree.read("etc/services"), SERVICES);
    tree.remove(&["greeter"]);
    assert_eq!(tree.snapshot(), before);
}
