//! Packages that are installed in one machine.

use super::has;
use super::probe::{Ask, Sees};
use crate::machine::{Machine, Release};
use crate::support::wait_for;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SuperServer {
    OpenbsdInetd,
    InetutilsInetd,
    Xinetd,
}

impl SuperServer {
    fn package(self) -> &'static str {
        match self {
            SuperServer::OpenbsdInetd => "openbsd-inetd",
            SuperServer::InetutilsInetd => "inetutils-inetd",
            SuperServer::Xinetd => "xinetd",
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            SuperServer::OpenbsdInetd => "inetd.service",
            SuperServer::InetutilsInetd => "inetutils-inetd.service",
            SuperServer::Xinetd => "xinetd.service",
        }
    }

    /// The name of its process.
    pub fn process(self) -> &'static str {
        match self {
            SuperServer::OpenbsdInetd => "inetd",
            SuperServer::InetutilsInetd => "inetutils-inetd",
            SuperServer::Xinetd => "xinetd",
        }
    }
}

pub struct Group {
    pub super_server: SuperServer,
    /// The packages with services, and the clients that they need.
    pub packages: &'static [&'static str],
    /// Answers to questions of debconf.
    pub answers: &'static str,
    /// What an administrator does before the super-server is started again: enables what is disabled, and configures.
    pub set_up: &'static str,
    pub services: &'static [Service],
}

pub struct Service {
    pub package: &'static str,
    pub name: &'static str,
    /// 0 for a service of RPC, which has no port of its own.
    pub port: u16,
    /// The last program that is executed, after tcpd; empty for a built-in service.
    pub program: &'static str,
    pub ask: Ask,
    pub sees: Sees,
    /// The only release in which the package has the service.
    pub release: Option<Release>,
}

impl Group {
    /// Installs the packages as apt does, and runs the super-server.
    pub fn install(&self, machine: &Machine, release: Release) {
        let there = self.packages.iter().filter(|package| has(release, package));
        let packages: Vec<&str> = there.copied().collect();
        machine.write("/root/answers", self.answers);
        // The image has the first three without their lines in inetd.conf.
        machine.run(&format!(
            "debconf-set-selections </root/answers
             apt() {{
                 apt-get --yes -qq --no-install-recommends --no-download -o Dpkg::Options::=--force-unsafe-io \"$@\" \\
                     </dev/null >>/root/apt.log 2>&1 || {{ tail -n 30 /root/apt.log >&2; exit 1; }}
             }}
             apt purge micro-httpd inetutils-telnetd xinetd
             rm -rf /etc/xinetd.d
             # Without an address that is none of the loopback device, some programs do not find localhost.
             ip address add 192.0.2.1/32 dev lo
             echo 192.0.2.1 $(hostname) >>/etc/hosts
             apt install {super_server} update-inetd
             apt install {packages}",
            super_server = self.super_server.package(),
            packages = packages.join(" "),
        ));
        machine.run(self.set_up);
        machine.run(&format!(
            "systemctl reset-failed; systemctl restart {}",
            self.super_server.unit()
        ));
        let sockets = || machine.run("ss -Hlntup");
        wait_for("the super-server listens", || {
            sockets().contains(&format!("((\"{}\"", self.super_server.process()))
        });
    }
}
