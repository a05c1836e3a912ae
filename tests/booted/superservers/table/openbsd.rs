//! Packages with different ports, for openbsd-inetd.

use super::super::group::SuperServer::OpenbsdInetd;
use super::super::group::{Group, Service};
use super::super::probe::Ask::{self, Command, Datagram, Stream};
use super::super::probe::Sees::{AfterByte, Answer, Nothing};
use super::service;
use crate::machine::Release::{Bookworm, Trixie};

/// ntalk: looks up an invitation of ann to ann, and wants the answer at port 4518.
const NTALK: Ask = Datagram(
    4518,
    "01 01 00 00 00000001 00*16 0002 11a6 7f000001 00*8 00000001 \
     616e6e 00*9 616e6e 00*9 00*16",
    3,
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
        echo '.default:hn:ht=ethernet:ha=020000000001:ip=127.0.0.1:sm=255.0.0.0:' |
            sed 's/^.default/host/' >/etc/bootptab
        mkdir -p /var/www/html /srv/gopher; echo page >/var/www/html/index.html; echo hole >/srv/gopher/gophermap
        touch /etc/ifmail/passwds /etc/ifmail/nodelist
        printf 'hello\tA\tX\n' >/usr/share/dictd/one.index; printf 'hello\n   a greeting....\n' >/usr/share/dictd/one.dict
        dictdconfig --write
        sed -i 's/^ServerType.*/ServerType inetd/' /etc/proftpd/proftpd.conf
        for unit in gophernicus.socket uucp.socket micro-httpd.socket saned.socket krb5-kpropd.service proftpd.service \
            bootp.service; do
            systemctl stop $unit 2>/dev/null || :
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
            Answer("CONFIG as first commands"),
        ),
        service(
            "cups-bsd",
            ("printer", 515),
            "/usr/lib/cups/daemon/cups-lpd",
            Stream(b"\x03lp\n"),
            Answer("No destinations added"),
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
            Answer("Gophered by Gophernicus"),
        ),
        service(
            "gwhois",
            ("whois", 43),
            "/usr/bin/gwhois",
            Stream(b"example.com\r\n"),
            Answer("Process query"),
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
            Answer("# Config file"),
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
            AfterByte("\\x00", "uid="),
        ),
        service(
            "rsh-server",
            ("login", 513),
            "/usr/sbin/in.rlogind",
            Stream(b"\0ann\0ann\0vt100/9600\0exit\r\n"),
            Answer("\\x00"),
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
            Answer("\\x00\\x03"),
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
