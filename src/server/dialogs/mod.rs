//! Conversations that are held in this process.

mod client;

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::time::Duration;

use mio::Interest;
use nix::sys::signal::Signal;

use self::client::{Client, READ};
use super::host::{Around, Guest, Host, Next};
use super::records::Name;
use crate::session::{Service, Talk};

/// How long a conversation that was dismissed may take to end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Holds the conversations of a service.
pub struct Dialogs<S> {
    service: S,
    write_timeout: Duration,
    /// What is read is read into this.
    buffer: Box<[u8; READ]>,
}

impl<S: Service> Dialogs<S> {
    /// The service, and how long a client may take to read.
    pub fn new(service: S, write_timeout: Duration) -> Dialogs<S> {
        Dialogs {
            service,
            write_timeout,
            buffer: Box::new([0; READ]),
        }
    }
}

impl<S: Service> Host for Dialogs<S> {
    type Guest = Client<S::Talk>;
    type News = Infallible;

    const SIGNALS: &'static [Signal] = &[];

    fn interest(&self, _: &Self::Guest) -> Interest {
        Interest::READABLE.add(Interest::WRITABLE)
    }

    fn last_words(&self) -> Duration {
        LAST_WORDS
    }

    fn welcome(
        &mut self,
        socket: OwnedFd,
        name: Name,
        around: &mut Around<'_, '_>,
    ) -> (Self::Guest, Next) {
        let mut client = Client::new(socket, name, self.write_timeout, around.now, |out| {
            self.service.begin(around.now, out)
        });
        // Most of what is short is over before it would have been watched.
        let next = client.drive(&mut self.buffer, around.now, around.records);
        (client, next)
    }

    fn drive(&mut self, client: &mut Self::Guest, around: &mut Around<'_, '_>) -> Next {
        client.drive(&mut self.buffer, around.now, around.records)
    }

    fn expire(&mut self, client: &mut Self::Guest, around: &mut Around<'_, '_>) -> Next {
        client.expire(&mut self.buffer, around.now, around.records)
    }

    fn dismiss(&mut self, client: &mut Self::Guest, around: &mut Around<'_, '_>) -> Next {
        client.dismiss(&mut self.buffer, around.now, around.records)
    }

    fn hear(&mut self, _: &mut Self::Guest, news: Infallible, _: &mut Around<'_, '_>) -> Next {
        match news {}
    }
}

impl<T: Talk> Guest for Client<T> {
    fn socket(&self) -> &OwnedFd {
        Client::socket(self)
    }

    fn name(&self) -> Name {
        Client::name(self)
    }
}
