//! Functions that several measurements use.

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, rlim_t, setrlimit};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// The time limit of everything that a measurement waits for.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// A value with its name in the table.
#[derive(Debug, Clone)]
pub struct Named {
    pub name: String,
    pub value: String,
}

/// Reads `NAME=VALUE`.
pub fn named(text: &str) -> Result<Named, String> {
    let (name, value) = text
        .rsplit_once('=')
        .ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    Ok(Named {
        name: name.into(),
        value: value.into(),
    })
}

impl Named {
    /// The value as a program and its arguments, which contain no blanks.
    pub fn command(&self) -> Command {
        let mut words = self.value.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    }
}

/// A random number generator (SplitMix64) with a fixed seed: two runs measure in the same order.
pub struct Rng(pub u64);

impl Rng {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    /// The numbers below `count` in a random order.
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

/// The percentile of the times: one of them, or zero if there is none.
pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let index = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(index).copied().unwrap_or_default()
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The user and system time of all descendants that have exited and were waited for.
pub fn cpu_of_children() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    let micros = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000)
    };
    Ok(micros(usage.user_time()) + micros(usage.system_time()))
}

/// A socket for a client. Connecting, reading and writing may take this long each.
pub fn client_socket(timeout: Duration) -> nix::Result<OwnedFd> {
    let timeout = TimeVal::seconds(timeout.as_secs() as i64);
    let client = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // The timeouts hold for connect too.
    setsockopt(&client, sockopt::SendTimeout, &timeout)?;
    setsockopt(&client, sockopt::ReceiveTimeout, &timeout)?;
    Ok(client)
}

/// Connects from an address. Connecting, reading and writing may take this long each.
pub fn connect_from(
    source: Ipv4Addr,
    server: SocketAddrV4,
    timeout: Duration,
) -> anyhow::Result<TcpStream> {
    let client = client_socket(timeout)?;
    // The kernel chooses the port when it connects: only then may it be in use for another server.
    setsockopt(&client, sockopt::IpBindAddressNoPort, &true)?;
    bind(
        client.as_raw_fd(),
        &SockaddrIn::from(SocketAddrV4::new(source, 0)),
    )
    .with_context(|| format!("cannot bind to {source}"))?;
    connect(client.as_raw_fd(), &SockaddrIn::from(server))
        .with_context(|| format!("cannot connect to {server}"))?;
    Ok(client.into())
}

/// Raises the limit on open files to at least `count`.
pub fn allow_descriptors(count: usize) -> anyhow::Result<()> {
    let count = count as rlim_t;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < count && setrlimit(Resource::RLIMIT_NOFILE, count, hard.max(count)).is_err() {
        bail!(
            "{count} open files are needed, but {hard} are allowed: raise the limit (ulimit -Hn)"
        );
    }
    Ok(())
}

/// The proportional set size of a process in KiB: its own memory, and its share of what it shares with others.
pub fn pss(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok())
        .with_context(|| format!("{path}: no Pss line"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(100));
        assert_eq!(percentile(&times, 99), Duration::from_millis(198));
        assert_eq!(percentile(&times[..1], 99), Duration::from_millis(200));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn every_order_has_each_number_once() {
        let mut rng = Rng(1);
        for _ in 0..10 {
            let mut order = rng.order(7);
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3, 4, 5, 6]);
        }
    }
}
