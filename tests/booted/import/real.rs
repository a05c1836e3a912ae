//! Servers of Debian's packages, from files as these packages and administrators write them.

use std::io::Read;

use super::{answer, connected};
use crate::machine::{Machine, Release};
use crate::support::wait_for;

on_both_releases!(
    servers_of_packages_serve_from_xinetd_and_inetd_files,
    rules_of_hosts_deny_and_limits_hold_as_under_xinetd,
);

const XINETD: &str = "
# default: off
service tftp
{
	disable		= no
	id		= tftp-dgram
	socket_type	= dgram
	protocol	= udp
	wait		= yes
	user		= root
	server		= /usr/sbin/in.tftpd
	server_args	= -s /srv/tftp
	per_source	= 11
	cps		= 100 2
	flags		= IPv4
}
service rsync
{
	disable		= no
	socket_type	= stream
	wait		= no
	user		= root
	server		= /usr/bin/rsync
	server_args	= --daemon
	log_on_failure	+= USERID
}
";

const INETD: &str = "\
#:INTERNAL: Internal services
#discard		stream	tcp	nowait	root	internal
http	stream	tcp	nowait	nobody	/usr/sbin/tcpd	/usr/sbin/micro-httpd /srv/web
svn	stream	tcp	nowait.400	nobody	/usr/bin/svnserve	svnserve -i -r /srv/svn
";

fn servers_of_packages_serve_from_xinetd_and_inetd_files(release: Release) {
    let machine = Machine::installed(release);
    machine.run(
        "systemctl disable --now --quiet tftpd-hpa.service 2>/dev/null || true
         mkdir -p /srv/tftp /srv/web /srv/pub /srv/svn
         head -c 100000 /dev/urandom >/srv/tftp/data
         cp /srv/tftp/data /srv/web; cp /srv/tftp/data /srv/pub
         svnadmin create /srv/svn/repo; svn mkdir --quiet --message one file:///srv/svn/repo/trunk
         chmod -R a+rX /srv",
    );
    machine.write(
        "/etc/rsyncd.conf",
        "use chroot = no\n[pub]\npath = /srv/pub\n",
    );
    machine.run("rm -f /etc/xinetd.d/*; echo 'includedir /etc/xinetd.d' >/etc/xinetd.conf");
    machine.write("/etc/xinetd.d/own", XINETD);
    machine.write("/etc/inetd.conf", INETD);
    machine.run("systemctl restart xinetd.service");
    let report = machine.run("sockunit import --apply --disable-old");
    let started = report.matches("started, now").count();
    match release {
        // xinetd reads inetd.conf too: it runs with -inetd_compat.
        Release::Bookworm => assert_eq!(started, 4, "{report}"),
        // No program reads inetd.conf: nobody is served from it, and nothing is opened.
        Release::Trixie => {
            assert_eq!(started, 2, "{report}");
            assert!(report.contains("enabled: inetd does not"), "{report}");
            assert!(connected(&machine, "127.0.0.1:80").is_none());
        }
    }
    machine.run("systemctl stop xinetd.service; systemctl start http.socket svn.socket");
    machine.run(
        "cd /tmp
         for time in 1 2 3; do tftp 127.0.0.1 -m binary -c get data; cmp data /srv/tftp/data; rm data; done
         rsync rsync://localhost/pub/data data; cmp data /srv/tftp/data; rm data
         svn ls svn://127.0.0.1/repo | grep -q trunk",
    );
    let mut client = connected(&machine, "127.0.0.1:80").unwrap();
    std::io::Write::write_all(&mut client, b"GET /data HTTP/1.0\r\n\r\n").unwrap();
    let mut page = Vec::new();
    client.read_to_end(&mut page).unwrap();
    assert!(
        page.len() > 100_000 && page.starts_with(b"HTTP/1.0 200"),
        "{}",
        page.len()
    );
    // Both packages ship units of these names, which stay as they are.
    let names = machine.run("ls /etc/systemd/system/*.socket");
    assert!(
        names.contains("rsync-tcp.socket") && names.contains("tftp-dgram.socket"),
        "{names}"
    );
}

const LIMITED: &str = "
service open
{
	type		= UNLISTED
	socket_type	= stream
	port		= 4001
	wait		= no
	user		= nobody
	server		= /usr/bin/wc
	server_args	= -c
}
service shut
{
	type		= UNLISTED
	socket_type	= stream
	port		= 4002
	wait		= no
	user		= nobody
	server		= /usr/bin/cat
}
service few
{
	type		= UNLISTED
	flags		= NOLIBWRAP
	socket_type	= stream
	port		= 4003
	wait		= no
	user		= nobody
	server		= /usr/bin/wc
	server_args	= -c
	instances	= 2
}
service source
{
	type		= UNLISTED
	flags		= NOLIBWRAP
	socket_type	= stream
	port		= 4004
	wait		= no
	user		= nobody
	server		= /usr/bin/wc
	server_args	= -c
	per_source	= 1
}
";

/// What clients see, those that come while others are connected too.
fn seen(machine: &Machine) -> Vec<String> {
    let mut seen = Vec::new();
    for port in [4001, 4002] {
        for source in [[127, 0, 0, 1], [127, 0, 0, 9]] {
            let client = machine.connect_from(source.into(), &format!("127.0.0.1:{port}"));
            seen.push(answer(Some(client), b"12345"));
        }
    }
    for (port, first) in [(4003, 2), (4004, 1)] {
        let address = format!("127.0.0.1:{port}");
        let early: Vec<_> = (0..first).map(|_| connected(machine, &address)).collect();
        // One that is served waits for the end of its input; one that is refused is not.
        let running = format!("[ $(pgrep -cx wc) = {first} ] && echo yes || true");
        wait_for("the first clients are served", || {
            machine.run(&running) == "yes"
        });
        seen.push(answer(connected(machine, &address), b"12345"));
        let other = machine.connect_from([127, 0, 0, 9].into(), &address);
        seen.push(answer(Some(other), b"12345"));
        seen.extend(early.into_iter().map(|client| answer(client, b"123")));
        wait_for("nobody is served", || {
            machine.run("pgrep -x wc || echo none") == "none"
        });
        seen.push(answer(connected(machine, &address), b"12345"));
    }
    seen
}

fn rules_of_hosts_deny_and_limits_hold_as_under_xinetd(release: Release) {
    let machine = Machine::installed(release);
    machine.write("/etc/xinetd.conf", LIMITED);
    machine.write("/etc/hosts.deny", "wc: 127.0.0.9\ncat: ALL\n");
    machine.run("systemctl restart xinetd.service");
    wait_for("xinetd serves", || {
        connected(&machine, "127.0.0.1:4004").is_some()
    });
    wait_for("nobody is served", || {
        machine.run("pgrep -x wc || echo none") == "none"
    });
    let under_xinetd = seen(&machine);
    let refused = machine.output("sockunit import");
    let refused = String::from_utf8_lossy(&refused.stdout);
    assert_eq!(
        refused.matches("hint: --tcpd keeps them").count(),
        2,
        "{refused}"
    );
    machine.run("sockunit import --tcpd --apply --disable-old");
    machine.run("systemctl stop xinetd.service");
    assert_eq!(seen(&machine), under_xinetd);
    assert_eq!(
        under_xinetd,
        [
            "5\n", "", "", "", "", "", "3\n", "3\n", "5\n", "", "5\n", "3\n", "5\n"
        ]
    );
}
