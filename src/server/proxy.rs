//! Proxies: which sources may forward connections of others, and connections whose header has not arrived yet.

use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Args;

use super::admission::{Network, Refusal, RefusalMessages};
use super::connection_log::ConnectionId;
use super::end::End;
use super::refuse::refuse;
use crate::clock::{self, duration_word};
use crate::connection::{HeaderReceiver, Peer, Received, Summary, Traffic};
use crate::log::Log;
use crate::proxy_protocol::{Client, HeaderError};

/// Options for services behind a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[group(skip)]
pub(crate) struct ProxyOptions {
    /// Expect a header of the PROXY protocol (version 1 or 2) from this address or network, or on AF_UNIX
    /// sockets if it is 'unix'; take the client's address from it, and refuse all other connections;
    /// repeatable [default: expect no header]
    #[arg(long, value_name = "NETWORK|unix", help_heading = None)]
    pub accept_proxy: Vec<ProxySource>,
    /// Refuse a proxy whose header is not complete after this long
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = clock::duration, help_heading = None)]
    pub proxy_timeout: Duration,
}

impl Default for ProxyOptions {
    fn default() -> ProxyOptions {
        ProxyOptions {
            accept_proxy: Vec::new(),
            proxy_timeout: Duration::from_secs(5),
        }
    }
}

impl ProxyOptions {
    /// Returns whether this peer has to send a header.
    ///
    /// # Errors
    ///
    /// Others have to, and this peer may not.
    pub(crate) fn expects_header(&self, peer: Peer) -> Result<bool, Refusal> {
        let is_proxy = |source: &ProxySource| match (source, peer) {
            (ProxySource::Network(network), Peer::Tcp(address)) => network.contains(address.ip()),
            (ProxySource::Unix, Peer::Unix { .. }) => true,
            _ => false,
        };
        match self.accept_proxy.iter().any(is_proxy) {
            true => Ok(true),
            false if self.accept_proxy.is_empty() => Ok(false),
            false => Err(Refusal::Address),
        }
    }

    /// The client of the only connection of this process, from the header if the peer has to send one. `None` if the
    /// connection is not to be served.
    pub(crate) fn client(&self, socket: BorrowedFd<'_>, peer: Peer, log: &mut Log) -> Option<Peer> {
        let accepted = Instant::now();
        let mut receiver = HeaderReceiver::default();
        let end = match self.expects_header(peer) {
            Ok(false) => return Some(peer),
            Ok(true) => match receiver.wait(&socket, accepted + self.proxy_timeout) {
                Ok(Received::Client(client)) => {
                    let (peer, via) = Via::header(client, peer, receiver.length());
                    if via == Via::Check {
                        log.write_only_errors();
                    }
                    return Some(peer);
                }
                Ok(Received::Nothing | Received::Part) => return None,
                Err(error) => End::NoHeader(error),
            },
            Err(reason) => End::Refused(reason),
        };
        let message = match end {
            End::Refused(reason) => RefusalMessages::default().text(reason),
            _ => Vec::new(),
        };
        let sent = refuse(&socket, &message, Instant::now());
        let summary = Summary {
            peer,
            end,
            pid: None,
            traffic: Some(Traffic { received: 0, sent }),
            duration: accepted.elapsed(),
        };
        log.notice(&summary.to_string());
        None
    }

    /// The options that are not the default, as arguments of a service program.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let sources = self.accept_proxy.iter().map(ProxySource::to_string);
        let mut words: Vec<String> = sources
            .flat_map(|source| ["--accept-proxy".to_owned(), source])
            .collect();
        if self.proxy_timeout != ProxyOptions::default().proxy_timeout {
            words.extend([
                "--proxy-timeout".to_owned(),
                duration_word(self.proxy_timeout),
            ]);
        }
        words
    }
}

/// Sources that may send a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxySource {
    /// Proxies in this network.
    Network(Network),
    /// Every process that can connect to an AF_UNIX socket of the service.
    Unix,
}

impl FromStr for ProxySource {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ProxySource, &'static str> {
        match text {
            "unix" => Ok(ProxySource::Unix),
            network => network.parse().map(ProxySource::Network).map_err(
                |_| "give an address, a network such as 192.0.2.0/24 or 2001:db8::/32, or unix",
            ),
        }
    }
}

impl fmt::Display for ProxySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProxySource::Network(network) => network.fmt(f),
            ProxySource::Unix => f.write_str("unix"),
        }
    }
}

/// How a client reached this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// It is the peer of the socket.
    Direct,
    /// Through a proxy.
    Proxy {
        /// The peer of the socket.
        proxy: Peer,
        /// The length of the header, in bytes.
        header: u64,
    },
    /// The proxy checks the service (LOCAL). Such a connection is not logged. It counts as one whose header has not
    /// arrived, so that a proxy cannot take all connections with them.
    Check,
}

impl Via {
    /// The client by a header that arrived from a proxy, and how it got here.
    pub(super) fn header(client: Client, proxy: Peer, header: u64) -> (Peer, Via) {
        match client {
            Client::Address(address) => (Peer::tcp(address), Via::Proxy { proxy, header }),
            Client::Unknown => (proxy, Via::Proxy { proxy, header }),
            Client::Proxy => (proxy, Via::Check),
        }
    }
}

/// A connection whose header has not arrived yet.
#[derive(Debug)]
pub(super) struct PendingConnection {
    /// Its socket.
    pub socket: OwnedFd,
    /// Its number and the proxy.
    pub id: ConnectionId,
    /// When it was accepted.
    pub accepted: Instant,
    /// When the header has to be complete.
    pub deadline: Instant,
    receiver: HeaderReceiver,
}

impl PendingConnection {
    /// A connection that was accepted now.
    pub(super) fn new(socket: OwnedFd, id: ConnectionId, timeout: Duration, now: Instant) -> Self {
        PendingConnection {
            socket,
            id,
            accepted: now,
            deadline: now + timeout,
            receiver: HeaderReceiver::default(),
        }
    }

    /// Receives what has arrived of the header. `None` if it is not complete yet.
    pub(super) fn receive(&mut self, now: Instant) -> Option<HeaderEnd> {
        match self.receiver.receive(&self.socket) {
            Ok(Received::Client(client)) => {
                let length = self.receiver.length();
                let (peer, via) = Via::header(client, self.id.peer, length);
                Some(HeaderEnd::Client(ConnectionId {
                    peer,
                    via,
                    ..self.id
                }))
            }
            Ok(Received::Nothing) => Some(HeaderEnd::Left),
            Ok(Received::Part) if now >= self.deadline => {
                Some(HeaderEnd::Invalid(HeaderError::TimedOut))
            }
            Ok(Received::Part) => None,
            Err(error) => Some(HeaderEnd::Invalid(error)),
        }
    }
}

/// How the wait for a header ended.
#[derive(Debug)]
pub(super) enum HeaderEnd {
    /// The header is complete: this is its client.
    Client(ConnectionId),
    /// The proxy left without sending a byte: a health check, which is not logged.
    Left,
    /// There is no valid header.
    Invalid(HeaderError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(sources: &[&str]) -> ProxyOptions {
        ProxyOptions {
            accept_proxy: sources.iter().map(|word| word.parse().unwrap()).collect(),
            ..ProxyOptions::default()
        }
    }

    #[test]
    fn only_proxies_are_accepted_if_there_are_any() {
        let tcp = |text: &str| Peer::tcp(text.parse().unwrap());
        let local = Peer::Unix { uid: 0, pid: 1 };
        let options_of = options;
        let options = options(&["192.0.2.0/24", "::1"]);
        assert_eq!(options.expects_header(tcp("192.0.2.7:1")), Ok(true));
        assert_eq!(
            options.expects_header(tcp("[::ffff:192.0.2.7]:1")),
            Ok(true)
        );
        for peer in [tcp("198.51.100.1:1"), local, Peer::Unknown] {
            assert_eq!(options.expects_header(peer), Err(Refusal::Address));
        }
        assert_eq!(options_of(&["unix"]).expects_header(local), Ok(true));
        assert_eq!(options_of(&[]).expects_header(local), Ok(false));
        assert!("localhost".parse::<ProxySource>().is_err());
        assert_eq!(
            options_of(&["unix", "::1"]).arguments(),
            ["--accept-proxy", "unix", "--accept-proxy", "::1"]
        );
    }
}
