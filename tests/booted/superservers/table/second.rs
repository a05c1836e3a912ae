//! Packages with the ports of others, and those for inetutils-inetd.

use super::super::group::SuperServer::{InetutilsInetd, OpenbsdInetd};
use super::super::group::{Group, Service};
use super::super::probe::Ask::{self, Command, Datagram, Stream};
use super::super::probe::Sees::{Answer, Nothing};
use super::service;
use crate::machine::Release::Trixie;

/// ntalk: looks up an invitation of ann to ann, and wants the answer at port 4519. talkd of inetutils takes the family of the address as the machine stores it.
const NTALK_OF_INETUTILS: Ask = Datagram(
    4519,
    "01 01 00 00 00000001 00*16 0200 11a7 7f000001 00*8 00000001 \
     616e6e 00*9 616e6e 00*9 00*16",
    3,
);

pub const OPENBSD_SECOND: Group = Group {
    super_server: OpenbsdInetd,
    packages: &[
        "bidentd",
        "cfingerd",
        "dicod",
        "heimdal-clients",
        "heimdal-kdc",
        "inetutils-talkd",
        "pure-ftpd",
        "rsh-redone-server",
        "scanbd",
        "skksearch",
        "solid-pop3d",
        "telnetd-ssl",
    ],
    answers: "heimdal heimdal/realm string EXAMPLE.ORG
krb5-config krb5-config/default_realm string EXAMPLE.ORG
pure-ftpd-common pure-ftpd/standalone-or-inetd select inetd
solid-pop3d solid-pop3d/run_mode select inetd
",
    set_up: "useradd --create-home --shell /bin/bash ann; echo ann:secret | chpasswd
        echo localhost ann >/home/ann/.rhosts; chown ann: /home/ann/.rhosts; chmod 600 /home/ann/.rhosts
        for unit in dicod.socket dicod.service saned.socket scanbd.service scanbm.socket; do
            systemctl stop $unit 2>/dev/null || :
        done
        update-inetd --enable dict,ntalk,ftp,pop3
        # update-inetd has enabled the line of sane-utils in the place of scanbd's.
        sed -i 's/^#krb_prop/krb_prop/; /^sane-port/s/nowait.*/nowait saned \\/usr\\/sbin\\/scanbm scanbm/' /etc/inetd.conf",
    services: &[
        service(
            "bidentd",
            ("ident", 113),
            "/usr/sbin/bidentd",
            Stream(b"22,700\r\n"),
            Answer("ERROR"),
        ),
        service(
            "cfingerd",
            ("finger", 79),
            "/usr/sbin/cfingerd",
            // Now and then it ends with SIGSEGV after these lines.
            Command("printf 'ann\\r\\n' | nc -N 127.0.0.1 79 | head -n 2"),
            Answer("Home directory: /home/ann"),
        ),
        service(
            "dicod",
            ("dict", 2628),
            "/usr/bin/dicod",
            Stream(b"SHOW DB\r\nQUIT\r\n"),
            Nothing("its line has the option in the place of the program's name"),
        ),
        service(
            "heimdal-kdc",
            ("kerberos-adm", 749),
            "/usr/lib/heimdal-servers/kadmind",
            Stream(b""),
            Nothing("it wants a ticket of Kerberos"),
        ),
        service(
            "heimdal-kdc",
            ("krb_prop", 754),
            "/usr/sbin/hpropd",
            Stream(b""),
            Nothing("it wants a ticket of Kerberos"),
        ),
        service(
            "inetutils-talkd",
            ("ntalk", 518),
            "/usr/sbin/talkd",
            NTALK_OF_INETUTILS,
            Answer("\\x01\\x01"),
        ),
        service(
            "pure-ftpd",
            ("ftp", 21),
            "/usr/sbin/pure-ftpd-wrapper",
            Stream(b"USER ann\r\nPASS secret\r\nPWD\r\nQUIT\r\n"),
            Answer("/home/ann"),
        ),
        service(
            "rsh-redone-server",
            ("shell", 514),
            "/usr/sbin/in.rshd",
            Stream(b"0\0ann\0ann\0id\0"),
            Answer("\\x00"),
        ),
        service(
            "rsh-redone-server",
            ("login", 513),
            "/usr/sbin/in.rlogind",
            Stream(b"\0ann\0ann\0vt100/9600\0exit\r\n"),
            Answer("\\x00"),
        ),
        service(
            "scanbd",
            ("sane-port", 6566),
            "/usr/sbin/scanbm",
            Stream(b"\0\0\0\0\x01\0\0\x03\0\0\0\x05root\0"),
            Answer("\\x00\\x03"),
        ),
        service(
            "skksearch",
            ("skkserv", 1178),
            "/usr/sbin/skksearch",
            Stream(b"2\n0\n"),
            Answer("0.0"),
        ),
        service(
            "solid-pop3d",
            ("pop3", 110),
            "/usr/sbin/solid-pop3d",
            Stream(b"USER ann\r\nPASS secret\r\nSTAT\r\nQUIT\r\n"),
            Answer("+OK"),
        ),
        service(
            "telnetd-ssl",
            ("telnet", 23),
            "/usr/sbin/in.telnetd",
            Command("sleep 2 | telnet 127.0.0.1 23 2>&1 || :"),
            Answer("login:"),
        ),
    ],
};

pub const OPENBSD_THIRD: Group = Group {
    super_server: OpenbsdInetd,
    packages: &["efingerd", "finger", "ftpd-ssl", "ident2"],
    answers: "",
    set_up: "useradd --create-home --shell /bin/bash ann; echo ann:secret | chpasswd
        update-inetd --enable ftp",
    services: &[
        service(
            "efingerd",
            ("finger", 79),
            "/usr/sbin/efingerd",
            Stream(b"ann\r\n"),
            Answer("\\r\\n"),
        ),
        service(
            "ftpd-ssl",
            ("ftp", 21),
            "/usr/sbin/in.ftpd",
            Stream(b"USER ann\r\nPASS secret\r\nPWD\r\nQUIT\r\n"),
            Answer("/home/ann"),
        ),
        service(
            "ident2",
            ("ident", 113),
            "/usr/sbin/ident2",
            Stream(b"22,700\r\n"),
            Answer("NO-USER"),
        ),
    ],
};

pub const INETUTILS: Group = Group {
    super_server: InetutilsInetd,
    packages: &[
        "cups",
        "cups-bsd",
        "inetutils-ftpd",
        "inetutils-talkd",
        "inetutils-telnetd",
    ],
    answers: "cups-bsd cups-bsd/setuplpd boolean true
",
    set_up: "useradd --create-home --shell /bin/bash ann; echo ann:secret | chpasswd
        update-inetd --enable telnet,ntalk,ftp",
    services: &[
        service(
            "cups-bsd",
            ("printer", 515),
            "/usr/lib/cups/daemon/cups-lpd",
            Stream(b"\x03lp\n"),
            Answer("No destinations added"),
        ),
        // In Debian 12 it registers none.
        Service {
            release: Some(Trixie),
            ..service(
                "inetutils-ftpd",
                ("ftp", 21),
                "/usr/sbin/ftpd",
                Stream(b"USER ann\r\nPASS secret\r\nPWD\r\nQUIT\r\n"),
                Answer("/home/ann"),
            )
        },
        service(
            "inetutils-talkd",
            ("ntalk", 518),
            "/usr/sbin/talkd",
            NTALK_OF_INETUTILS,
            Answer("\\x01\\x01"),
        ),
        service(
            "inetutils-telnetd",
            ("telnet", 23),
            "/usr/sbin/telnetd",
            Command("sleep 2 | telnet 127.0.0.1 23 2>&1 || :"),
            Answer("login:"),
        ),
    ],
};

const fn of_pure_ftpd(packages: &'static [&'static str], services: &'static [Service]) -> Group {
    Group {
        super_server: OpenbsdInetd,
        packages,
        answers: "pure-ftpd-common pure-ftpd/standalone-or-inetd select inetd\n",
        set_up: "",
        services,
    }
}

/// Without a database, it refuses everybody.
const fn pure_ftpd(package: &'static str) -> Service {
    service(
        package,
        ("ftp", 21),
        "/usr/sbin/pure-ftpd-wrapper",
        Stream(b"QUIT\r\n"),
        Answer("220"),
    )
}

pub const PURE_FTPD: [Group; 3] = [
    of_pure_ftpd(&["pure-ftpd-ldap"], &[pure_ftpd("pure-ftpd-ldap")]),
    of_pure_ftpd(&["pure-ftpd-mysql"], &[pure_ftpd("pure-ftpd-mysql")]),
    of_pure_ftpd(
        &["pure-ftpd-postgresql"],
        &[pure_ftpd("pure-ftpd-postgresql")],
    ),
];
