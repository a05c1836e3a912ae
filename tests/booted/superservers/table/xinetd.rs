//! Packages with files for xinetd.

use super::super::group::Group;
use super::super::group::Service;
use super::super::group::SuperServer::Xinetd;
use super::super::probe::Ask::{Command, Datagram, Stream};
use super::super::probe::Sees::{Answer, Nothing};
use super::service;
use crate::machine::Release::Trixie;

/// What the packages ship in /etc/xinetd.d.
pub const XINETD: Group = Group {
    super_server: Xinetd,
    packages: &[
        "amanda-client",
        "amanda-common",
        "amanda-server",
        "cfingerd",
        "csync2",
        "dicod",
        "firebird3.0-server",
        "globus-gridftp-server-progs",
        "gophernicus",
        "nullidentd",
        "tang-xinetd",
        "xinetd",
    ],
    answers: "",
    set_up: "echo localhost root amdump noop >/var/backups/.amandahosts; chown backup: /var/backups/.amandahosts
        chmod 600 /var/backups/.amandahosts
        mkdir -p /srv/gopher; echo hole >/srv/gopher/gophermap
        for unit in gophernicus.socket firebird3.0.service firebird4.0.service csync2.socket dicod.socket dicod.service; do
            systemctl stop $unit 2>/dev/null || :
        done
        cd /etc/xinetd.d; rm -f *-udp servers services /etc/inetd.conf
        sed -i '/disable/s/yes/no/' *",
    services: &[
        service(
            "amanda-common",
            ("amanda", 10080),
            "/usr/lib/amanda/amandad",
            Command("amservice -f /dev/null localhost bsdtcp noop 2>&1 </dev/null || :"),
            Answer("OPTIONS"),
        ),
        service(
            "csync2",
            ("csync2", 30865),
            "/usr/sbin/csync2",
            Stream(b"HELLO one\nBYE\n"),
            Answer("CONFIG as first commands"),
        ),
        service(
            "dicod",
            ("dict", 2628),
            "/usr/bin/dicod",
            Stream(b"SHOW DB\r\nQUIT\r\n"),
            Answer("220 "),
        ),
        service(
            "firebird3.0-server",
            ("gds_db", 3050),
            "/usr/sbin/firebird",
            Stream(b""),
            Nothing("it wants a client of Firebird"),
        ),
        service(
            "globus-gridftp-server-progs",
            ("gsiftp", 2811),
            "/usr/sbin/globus-gridftp-server",
            Stream(b"QUIT\r\n"),
            Answer("220 "),
        ),
        service(
            "gophernicus",
            ("gopher", 70),
            "/usr/sbin/gophernicus",
            Stream(b"\r\n"),
            Answer("hole"),
        ),
        Service {
            release: Some(Trixie),
            ..service(
                "nullidentd",
                ("auth", 113),
                "/usr/sbin/nullidentd",
                Stream(b"22,700\r\n"),
                Answer("USERID"),
            )
        },
        service(
            "tang-xinetd",
            ("tangd", 8888),
            "/usr/libexec/tangdw",
            // The answer ends with a signature, which is never the same.
            Command("printf 'GET /adv HTTP/1.0\\r\\n\\r\\n' | nc -N 127.0.0.1 8888 | head -c 500"),
            Answer("HTTP/"),
        ),
        service("xinetd", ("echo", 7), "", Stream(b"one\ntwo"), Answer("one")),
        service("xinetd", ("daytime", 13), "", Stream(b""), Answer("20")),
        service("xinetd", ("chargen", 19), "", Stream(b""), Answer("ABC")),
        service(
            "xinetd",
            ("discard", 9),
            "",
            Stream(b"one"),
            Nothing("it answers nobody"),
        ),
        service(
            "xinetd",
            ("echo-udp", 7),
            "",
            Datagram(4507, "61*40", 40),
            Answer("aaa"),
        ),
    ],
};

/// What the other version of firebird ships, and examples in the documentation of packages. That of rush is for tcpmux,
/// which import does not convert.
pub const XINETD_SECOND: Group = Group {
    super_server: Xinetd,
    packages: &[
        "finger",
        "fingerd",
        "firebird4.0-server",
        "remctl-server",
        "rush",
        "vsftpd",
    ],
    answers: "",
    set_up: "useradd --create-home --shell /bin/bash ann; echo ann:secret | chpasswd
        for unit in firebird4.0.service vsftpd.service; do
            systemctl stop $unit 2>/dev/null || :
        done
        cd /etc/xinetd.d; rm -f /etc/inetd.conf
        find . -type f ! -name firebird40 -delete
        sed -i '/disable/s/yes/no/' * 2>/dev/null || :
        cp /usr/share/doc/fingerd/examples/finger.xinetd finger
        cp /usr/share/doc/remctl-server/examples/xinetd remctl
        sed s,/usr/local/sbin,/usr/sbin, /usr/share/doc/vsftpd/examples/INTERNET_SITE/vsftpd.xinetd >ftp
        echo busy >/etc/vsftpd.busy_banner
        sed -i 's/^listen.*=YES/listen=NO/' /etc/vsftpd.conf; echo isolate_network=NO >>/etc/vsftpd.conf",
    services: &[
        service(
            "fingerd",
            ("finger", 79),
            "/usr/sbin/in.fingerd",
            Stream(b"ann\r\n"),
            Answer("/home/ann"),
        ),
        service(
            "firebird4.0-server",
            ("gds_db", 3050),
            "/usr/sbin/firebird",
            Stream(b""),
            Nothing("it wants a client of Firebird"),
        ),
        service(
            "remctl-server",
            ("remctl", 4373),
            "/usr/sbin/remctld",
            Stream(b""),
            Nothing("it wants a ticket of Kerberos"),
        ),
        service(
            "vsftpd",
            ("ftp", 21),
            "/usr/sbin/vsftpd",
            Stream(b"USER ann\r\nPASS secret\r\nPWD\r\nQUIT\r\n"),
            Answer("220 "),
        ),
    ],
};
