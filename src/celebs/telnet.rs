//! Removes telnet commands (RFC 854, RFC 855) from what a client sends.

const SE: u8 = 240;
const IP: u8 = 244;
const SB: u8 = 250;
const WILL: u8 = 251;
const DONT: u8 = 254;
const IAC: u8 = 255;

/// The meaning of one received byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// A byte of text.
    Text(u8),
    /// The user pressed the interrupt key (IAC IP).
    Interrupt,
    /// Part of any other command.
    Command,
}

/// Removes telnet commands from a byte stream, one byte at a time.
///
/// It negotiates nothing: on ports other than 23, a telnet client waits for the server to start.
#[derive(Debug, Clone, Default)]
pub(super) struct TelnetFilter {
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After IAC.
    Command,
    /// After IAC and WILL, WONT, DO or DONT; the option number follows.
    Option,
    /// Between IAC SB and IAC SE.
    Subnegotiation,
    /// After IAC inside a subnegotiation.
    SubnegotiationCommand,
}

impl TelnetFilter {
    /// Processes the next byte.
    pub(super) fn process(&mut self, byte: u8) -> Received {
        let (state, received) = match (self.state, byte) {
            (State::Text, IAC) => (State::Command, Received::Command),
            (State::Text, _) => (State::Text, Received::Text(byte)),
            // Telnet sends the byte 255 as IAC IAC.
            (State::Command, IAC) => (State::Text, Received::Text(IAC)),
            (State::Command, IP) => (State::Text, Received::Interrupt),
            (State::Command, SB) => (State::Subnegotiation, Received::Command),
            (State::Command, WILL..=DONT) => (State::Option, Received::Command),
            (State::Command | State::Option, _) => (State::Text, Received::Command),
            (State::Subnegotiation, IAC) => (State::SubnegotiationCommand, Received::Command),
            (State::SubnegotiationCommand, SE) => (State::Text, Received::Command),
            (State::Subnegotiation | State::SubnegotiationCommand, _) => {
                (State::Subnegotiation, Received::Command)
            }
        };
        self.state = state;
        received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Vec<u8> {
        let mut filter = TelnetFilter::default();
        bytes
            .iter()
            .filter_map(|&byte| match filter.process(byte) {
                Received::Text(byte) => Some(byte),
                Received::Interrupt | Received::Command => None,
            })
            .collect()
    }

    #[test]
    fn commands_of_every_length_are_removed() {
        assert_eq!(text(b"li\xff\xf1nus"), b"linus", "IAC NOP");
        assert_eq!(text(b"li\xff\xfd\x06nus"), b"linus", "IAC DO TIMING-MARK");
        assert_eq!(text(b"li\xff\xfa\x18\x00xterm\xff\xf0nus"), b"linus");
    }

    #[test]
    fn a_doubled_iac_is_the_byte_255() {
        assert_eq!(text(b"a\xff\xffb"), b"a\xffb");
    }

    #[test]
    fn a_doubled_iac_inside_a_subnegotiation_does_not_end_it() {
        assert_eq!(text(b"a\xff\xfa\x18\xff\xff\xf0z\xff\xf0b"), b"ab");
    }

    #[test]
    fn an_interrupt_is_recognized() {
        let mut filter = TelnetFilter::default();
        assert_eq!(filter.process(255), Received::Command);
        assert_eq!(filter.process(244), Received::Interrupt);
        assert_eq!(filter.process(b'x'), Received::Text(b'x'));
    }
}
