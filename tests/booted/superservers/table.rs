//! The packages that ship or register a service for xinetd or inetd, and what a client sees of it.

use super::group::SuperServer::{InetutilsInetd, OpenbsdInetd, Xinetd};
use super::group::{Group, Service};
use super::probe::Ask::{self, Command, Datagram, Stream};
use super::probe::Sees::{self, Answer, Nothing};
use crate::machine::Release::{self, Bookworm, Trixie};

/// Packages that a release does not have.
pub const ABSENT: [(&str, Release); 11] = [
    ("bidentd", Trixie),
    ("firebird3.0-server", Trixie),
    ("firebird4.0-server", Bookworm),
    ("ftpd-ssl", Trixie),
    ("inetutils-ftpd", Bookworm),
    ("p10cfgd", Trixie),
    ("rsh-client", Trixie),
    ("rsh-redone-server", Trixie),
    ("rsh-server", Trixie),
    ("sendfile", Trixie),
    ("sn", Trixie),
];

pub const GROUPS: [&Group; 8] = [
    &OPENBSD,
    &OPENBSD_SECOND,
    &OPENBSD_THIRD,
    &INETUTILS,
    &XINETD,
    &PURE_FTPD[0],
    &PURE_FTPD[1],
    &PURE_FTPD[2],
];

const fn service(
    package: &'static str,
    (name, port): (&'static str, u16),
    program: &'static str,
    ask: Ask,
    sees: Sees,
) -> Service {
    Service {
        package,
        name,
        port,
        program,
        ask,
        sees,
        release: None,
    }
}

/// ntalk: looks up an invitation of ann to ann, and wants the answer at port 4518.
const NTALK: Ask = Datagram(
    4518,
    "01 01 00 00 00000001 00*16 0002 11a6 7f000001 00*8 00000001 \
     616e6e 00*9 616e6e 00*9 00*16",
    8,
);

/// talk, the older protocol: the same, with the answer at port 4517.
const TALK: Ask = Datagram(
    4517,
    "01 616e6e 00*6 616e6e 00*6 00 00000001 00000001 00*16 0002 00*14 0002 11a5 7f000001 00*8",
    8,
);

pub const OPENBSD: Group = Group {
    super_server: OpenbsdInetd,
    packages: &[
        "amanda-client",
        "amanda-common",
        "amanda-server",
        "apt-cacher",
        "bootp",
        "ckermit",
        "csync2",
        "cups",
        "cups-bsd",
        "dbskkd-cdb",
        "dictd",
        "finger",
        "fingerd",
        "gophernicus",
        "gwhois",
        "ifcico",
        "inetutils-telnetd",
        "krb5-kpropd",
        "micro-httpd",
        "nullidentd",
        "p10cfgd",
        "popa3d",
        "poppassd",
        "proftpd-core",
        "remctl-server",
        "rpcbind",
        "rsh-server",
        "rstatd",
        "rusersd",
        "rwalld",
        "sane-utils",
        "sendfile",
        "skkdic-cdb",
        "sn",
        "sslh",
        "talkd",
        "uucp",
        "xtel",
    ],
    answers: "apt-cacher apt-cacher/mode select inetd
ckermit ckermit/iksd boolean true
cups-bsd cups-bsd/setuplpd boolean true
dictd dictd/run_mode select inetd
gwhois gwhois/inetd boolean true
popa3d popa3d/standalone boolean false
sslh sslh/inetd_or_standalone select from inetd
",
    set_up: "useradd --create-home --shell /bin/bash ann; echo ann:secret | chpasswd
        echo localhost ann >/home/ann/.rhosts; chown ann: /home/ann/.rhosts; chmod 600 /home/ann/.rhosts
        echo localhost root amdump noop >/var/backups/.amandahosts; chown backup: /var/backups/.amandahosts
        chmod 600 /var/backups/.amandahosts; touch /etc/amanda-security.conf
        echo '.default:hn:ht=ethernet:ha=020000000001:ip=127.0.0.9:sm=255.0.0.0:td=/srv:hd=/:bf=file:' |
            sed 's/^.default/host/' >/etc/bootptab
        mkdir -p /var/www/html /var/gopher; echo page >/var/www/html/index.html; echo hole >/var/gopher/gophermap
        touch /etc/ifmail/passwds /etc/ifmail/nodelist
        printf 'hello\tA\tX\n' >/usr/share/dictd/one.index; printf 'hello\n   a greeting....\n' >/usr/share/dictd/one.dict
        dictdconfig --write
        sed -i 's/^ServerType.*/ServerType inetd/' /etc/proftpd/proftpd.conf
        for unit in gophernicus.socket uucp.socket micro-httpd.socket saned.socket krb5-kpropd.service; do
            systemctl disable --quiet --now $unit 2>/dev/null || :
        done
        systemctl start ssh.service rpcbind.service
        update-inetd --enable https,telnet,ftp,gopher,sane-port
        sed -i 's/^#bootps/bootps/; s/^#krb5_prop/krb5_prop/; s/^#<off>#uucp/uucp/
            s/-s localhost:22 -l localhost:444/--ssh localhost:22 --tls localhost:444/' /etc/inetd.conf",
    services: &[
        service(
            "amanda-common",
            ("amanda", 10080),
            "/usr/lib/amanda/amandad",
            Command("amservice -f /dev/null localhost bsdtcp noop 2>&1 </dev/null || :"),
            Answer("OPTIONS"),
        ),
        service(
            "apt-cacher",
            ("apt-cacher", 3142),
            "/usr/sbin/apt-cacher",
            Stream(b"GET /apt-cacher HTTP/1.0\r\n\r\n"),
            Answer("HTTP/"),
        ),
        service(
            "bootp",
            ("bootps", 67),
            "/usr/sbin/bootpd",
            // A request of the address of the hardware, whose client listens at 127.0.0.1.
            Datagram(
                68,
                "01010600 00000001 00000000 7f000001 00*12 020000000001 00*10 00*192 63825363 ff 00*59",
                300,
            ),
            Answer("\\x02"),
        ),
        Service {
            release: Some(Trixie),
            ..service(
                "ckermit",
                ("kermit", 1649),
                "/usr/sbin/iksd",
                Stream(b""),
                Answer("Kermit"),
            )
        },
        Service {
            release: Some(Bookworm),
            ..service(
                "ckermit",
                ("kermit of Debian 12", 1649),
                "/usr/sbin/iksd",
                Stream(b""),
                Nothing("it exits before it reads"),
            )
        },
        service(
            "csync2",
            ("csync2", 30865),
            "/usr/sbin/csync2",
            Stream(b"HELLO one\nBYE\n"),
            Answer(""),
        ),
        service(
            "cups-bsd",
            ("printer", 515),
            "/usr/lib/cups/daemon/cups-lpd",
            Stream(b"\x03lp\n"),
            Answer(""),
        ),
        service(
            "dbskkd-cdb",
            ("skkserv", 1178),
            "/usr/sbin/dbskkd-cdb",
            Stream(b"2\n1\xa4\xa2\xa4\xa4 \n0\n"),
            Answer("dbskkd-cdb"),
        ),
        service(
            "dictd",
            ("dict", 2628),
            "/usr/sbin/dictd",
            Stream(b"DEFINE * hello\r\nQUIT\r\n"),
            Answer("a greeting"),
        ),
        service(
            "fingerd",
            ("finger", 79),
            "/usr/sbin/in.fingerd",
            Stream(b"ann\r\n"),
            Answer("/home/ann"),
        ),
        service(
            "gophernicus",
            ("gopher", 70),
            "/usr/sbin/gophernicus",
            Stream(b"\r\n"),
            Answer("Gophernicus"),
        ),
        service(
            "gwhois",
            ("whois", 43),
            "/usr/bin/gwhois",
            Stream(b"example.com\r\n"),
            Answer(""),
        ),
        service(
            "ifcico",
            ("fido", 60179),
            "/usr/lib/ifmail/ifcico",
            Stream(b""),
            Answer("EMSI_REQ"),
        ),
        service(
            "ifcico",
            ("tfido", 60177),
            "/usr/lib/ifmail/ifcico",
            Stream(b""),
            Answer("EMSI_REQ"),
        ),
        service(
            "inetutils-telnetd",
            ("telnet", 23),
            "/usr/sbin/telnetd",
            Command("sleep 2 | telnet 127.0.0.1 23 2>&1 || :"),
            Answer("login:"),
        ),
        service(
            "krb5-kpropd",
            ("krb5_prop", 754),
            "/usr/sbin/kpropd",
            Stream(b""),
            Nothing("it wants a ticket of Kerberos"),
        ),
        service(
            "micro-httpd",
            ("www", 80),
            "/usr/sbin/micro-httpd",
            Stream(b"GET / HTTP/1.0\r\n\r\n"),
            Answer("page"),
        ),
        service(
            "nullidentd",
            ("ident", 113),
            "/usr/sbin/nullidentd",
            Stream(b"22,700\r\n"),
            Answer("USERID"),
        ),
        service(
            "p10cfgd",
            ("rmtcfg", 1236),
            "/usr/sbin/p10cfgd",
            Stream(b"?\r\n"),
            Answer(""),
        ),
        service(
            "popa3d",
            ("pop3", 110),
            "/usr/sbin/popa3d",
            Stream(b"USER ann\r\nPASS secret\r\nSTAT\r\nQUIT\r\n"),
            Answer("+OK"),
        ),
        service(
            "poppassd",
            ("poppassd", 106),
            "/usr/sbin/poppassd",
            Stream(b"user ann\r\npass wrong\r\nquit\r\n"),
            Answer("200 "),
        ),
        service(
            "proftpd-core",
            ("ftp", 21),
            "/usr/sbin/proftpd",
            Stream(b"USER ann\r\nPASS secret\r\nPWD\r\nQUIT\r\n"),
            Answer("/home/ann"),
        ),
        service(
            "remctl-server",
            ("remctl", 4373),
            "/usr/sbin/remctld",
            Stream(b""),
            Nothing("it wants a ticket of Kerberos"),
        ),
        service(
            "rsh-server",
            ("shell", 514),
            "/usr/sbin/in.rshd",
            Stream(b"0\0ann\0ann\0id\0"),
            Answer("uid="),
        ),
        service(
            "rsh-server",
            ("login", 513),
            "/usr/sbin/in.rlogind",
            Stream(b"\0ann\0ann\0vt100/9600\0exit\r\n"),
            Answer(""),
        ),
        service(
            "rsh-server",
            ("exec", 512),
            "/usr/sbin/in.rexecd",
            Stream(b"0\0ann\0secret\0id\0"),
            Answer("uid="),
        ),
        service(
            "rstatd",
            ("rstatd", 0),
            "/usr/sbin/rpc.rstatd",
            Command("rpcinfo -u 127.0.0.1 rstatd 3 2>&1 || :"),
            Answer("ready and waiting"),
        ),
        service(
            "rusersd",
            ("rusersd", 0),
            "/usr/sbin/rpc.rusersd",
            Command("rpcinfo -u 127.0.0.1 rusersd 2 2>&1 || :"),
            Answer("ready and waiting"),
        ),
        service(
            "rwalld",
            ("walld", 0),
            "/usr/sbin/rpc.rwalld",
            Command("rpcinfo -u 127.0.0.1 walld 1 2>&1 || :"),
            Answer("ready and waiting"),
        ),
        service(
            "sane-utils",
            ("sane-port", 6566),
            "/usr/sbin/saned",
            // The protocol's first request, with its version and a user.
            Stream(b"\0\0\0\0\x01\0\0\x03\0\0\0\x05root\0"),
            Answer("\\x01\\x00\\x00\\x03"),
        ),
        service(
            "sendfile",
            ("saft", 487),
            "/usr/sbin/sendfiled",
            Stream(b"QUIT\r\n"),
            Answer("SAFT"),
        ),
        service(
            "sn",
            ("nntp", 119),
            "/usr/sbin/snntpd",
            Stream(b"LIST\r\nQUIT\r\n"),
            Answer("200 "),
        ),
        service(
            "sslh",
            ("https", 443),
            "/usr/sbin/sslh",
            Command("(echo SSH-2.0-client; sleep 2) | nc -N 127.0.0.1 443 | head -n 1"),
            Answer("SSH-2.0-OpenSSH"),
        ),
        service(
            "talkd",
            ("talk", 517),
            "/usr/sbin/in.talkd",
            TALK,
            Answer("\\x01"),
        ),
        service(
            "talkd",
            ("ntalk", 518),
            "/usr/sbin/in.ntalkd",
            NTALK,
            Answer("\\x01\\x01"),
        ),
        service(
            "uucp",
            ("uucp", 540),
            "/usr/sbin/in.uucpd",
            Stream(b"ann\r\nsecret\r\n"),
            Answer("login: "),
        ),
        service(
            "xtel",
            ("xtel", 1313),
            "/usr/sbin/xteld",
            Stream(b""),
            Nothing("it wants a modem"),
        ),
    ],
};

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
solid-pop3d solid-pop3d/run_mode select inetd
",
    set_up: "useradd --create-home --shell /bin/bash ann; echo ann:secret | chpasswd
        update-inetd --enable dict,ntalk,ftp,pop3
        sed -i 's/^#krb_prop/krb_prop/' /etc/inetd.conf",
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
            Stream(b"ann\r\n"),
            Answer(""),
        ),
        service(
            "dicod",
            ("dict", 2628),
            "/usr/bin/dicod",
            Stream(b"SHOW DB\r\nQUIT\r\n"),
            Answer("220 "),
        ),
        service(
            "heimdal-kdc",
            ("kerberos-adm", 749),
            "/usr/lib/heimdal-servers/kadmind",
            Stream(b""),
            Answer(""),
        ),
        service(
            "heimdal-kdc",
            ("krb_prop", 754),
            "/usr/sbin/hpropd",
            Stream(b""),
            Answer(""),
        ),
        service(
            "inetutils-talkd",
            ("ntalk", 518),
            "/usr/sbin/talkd",
            NTALK,
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
            Answer(""),
        ),
        service(
            "rsh-redone-server",
            ("login", 513),
            "/usr/sbin/in.rlogind",
            Stream(b"\0ann\0ann\0vt100/9600\0exit\r\n"),
            Answer(""),
        ),
        service(
            "scanbd",
            ("sane-port", 6566),
            "/usr/sbin/scanbm",
            Stream(b"\0\0\0\0\x01\0\0\x03\0\0\0\x05root\0"),
            Answer(""),
        ),
        service(
            "skksearch",
            ("skkserv", 1178),
            "/usr/sbin/skksearch",
            Stream(b"2\n0\n"),
            Answer(""),
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
            Answer(""),
        ),
    ],
};

pub const OPENBSD_THIRD: Group = Group {
    super_server: OpenbsdInetd,
    packages: &["efingerd", "finger", "ftpd-ssl", "ident2", "inetutils-ftpd"],
    answers: "",
    set_up: "useradd --create-home --shell /bin/bash ann; echo ann:secret | chpasswd
        update-inetd --enable ftp",
    services: &[
        service(
            "efingerd",
            ("finger", 79),
            "/usr/sbin/efingerd",
            Stream(b"ann\r\n"),
            Answer(""),
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
            Answer(""),
        ),
        service(
            "inetutils-ftpd",
            ("ftp of inetutils", 21),
            "/usr/sbin/ftpd",
            Stream(b"USER ann\r\nPASS secret\r\nPWD\r\nQUIT\r\n"),
            Answer("/home/ann"),
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
            Answer(""),
        ),
        service(
            "inetutils-ftpd",
            ("ftp", 21),
            "/usr/sbin/ftpd",
            Stream(b"USER ann\r\nPASS secret\r\nPWD\r\nQUIT\r\n"),
            Answer("/home/ann"),
        ),
        service(
            "inetutils-talkd",
            ("ntalk", 518),
            "/usr/sbin/talkd",
            NTALK,
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

/// What the packages ship in /etc/xinetd.d, and the examples in their documentation.
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
        "firebird4.0-server",
        "globus-gridftp-server-progs",
        "gophernicus",
        "nullidentd",
        "remctl-server",
        "rush",
        "tang-xinetd",
        "vsftpd",
        "xinetd",
    ],
    answers: "",
    set_up: "echo localhost root amdump noop >/var/backups/.amandahosts; chown backup: /var/backups/.amandahosts
        chmod 600 /var/backups/.amandahosts
        mkdir -p /srv/gopher; echo hole >/srv/gopher/gophermap
        for unit in gophernicus.socket firebird3.0.service firebird4.0.service csync2.socket vsftpd.service; do
            systemctl disable --quiet --now $unit 2>/dev/null || :
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
            Answer(""),
        ),
        service(
            "dicod",
            ("dict", 2628),
            "/usr/bin/dicod",
            Stream(b"SHOW DB\r\nQUIT\r\n"),
            Answer("220 "),
        ),
        Service {
            release: Some(Bookworm),
            ..service(
                "firebird3.0-server",
                ("gds_db", 3050),
                "/usr/sbin/firebird",
                Stream(b""),
                Answer(""),
            )
        },
        service(
            "firebird4.0-server",
            ("gds_db 4", 3050),
            "/usr/sbin/firebird",
            Stream(b""),
            Answer(""),
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
            Stream(b"GET /adv HTTP/1.0\r\n\r\n"),
            Answer("HTTP/"),
        ),
        service("xinetd", ("echo", 7), "", Stream(b"one\ntwo"), Answer("one")),
        service("xinetd", ("daytime", 13), "", Stream(b""), Answer("20")),
        service("xinetd", ("time", 37), "", Stream(b""), Answer("\\x")),
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

const fn of_pure_ftpd(packages: &'static [&'static str], services: &'static [Service]) -> Group {
    Group {
        super_server: OpenbsdInetd,
        packages,
        answers: "",
        set_up: "update-inetd --enable ftp",
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
        Answer(""),
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
