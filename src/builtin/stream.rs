//! One connection.

use std::io::{self, ErrorKind, Read, Write};

use jiff::Timestamp;

use super::protocol::{Pattern, daytime, time};
use super::{BuiltIn, Edition};
use crate::clock;

/// Serves a client. A client that disconnects is not an error.
pub(super) fn serve(
    built_in: BuiltIn,
    edition: Edition,
    mut input: impl Read,
    mut output: impl Write,
) -> io::Result<()> {
    let now = Timestamp::now();
    let ended = match built_in {
        BuiltIn::Echo => transfer(&mut input, &mut output),
        BuiltIn::Discard => transfer(&mut input, &mut io::sink()),
        BuiltIn::Chargen => forever(&Pattern::new(edition).all(), &mut output),
        BuiltIn::Daytime => output.write_all(&daytime(edition, &now.to_zoned(clock::local_zone()))),
        BuiltIn::Time => output.write_all(&time(now)),
    };
    match ended {
        Err(error) if is_client_gone(&error) => Ok(()),
        ended => ended,
    }
}

/// Copies to the end of the input, each piece at once.
fn transfer(input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    let mut buffer = [0; 8 * 1024];
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(()),
            length => output.write_all(&buffer[..length])?,
        }
    }
}

/// Writes the same text until that fails.
fn forever(text: &[u8], output: &mut impl Write) -> io::Result<()> {
    loop {
        output.write_all(text)?;
    }
}

fn is_client_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;
    use std::thread::{self, JoinHandle};

    fn start(built_in: BuiltIn) -> (UnixStream, JoinHandle<io::Result<()>>) {
        let (client, connection) = UnixStream::pair().unwrap();
        let serve = move || serve(built_in, Edition::Xinetd, &connection, &connection);
        (client, thread::spawn(serve))
    }

    /// What a client reads that sends bytes and closes its sending half.
    fn answer(built_in: BuiltIn, sent: &[u8]) -> Vec<u8> {
        let (mut client, server) = start(built_in);
        client.write_all(sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        server.join().unwrap().unwrap();
        received
    }

    #[test]
    fn echo_sends_all_back_and_discard_nothing() {
        assert_eq!(
            answer(BuiltIn::Echo, b"\0one\r\n\xfftwo"),
            b"\0one\r\n\xfftwo"
        );
        assert_eq!(answer(BuiltIn::Discard, b"one"), b"");
    }

    #[test]
    fn echo_answers_before_its_input_ends() {
        let (mut client, server) = start(BuiltIn::Echo);
        for byte in 0..10 {
            client.write_all(&[byte]).unwrap();
            let mut answer = [99];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [byte]);
        }
        drop(client);
        server.join().unwrap().unwrap();
    }

    #[test]
    fn daytime_and_time_send_once() {
        let text = String::from_utf8(answer(BuiltIn::Daytime, b"")).unwrap();
        assert!(text.ends_with("\r\n") && text.len() >= 26, "{text}");
        assert_eq!(answer(BuiltIn::Time, b"").len(), 4);
    }

    #[test]
    fn chargen_goes_on_until_its_client_leaves() {
        let (mut client, server) = start(BuiltIn::Chargen);
        client.shutdown(Shutdown::Write).unwrap();
        let mut text = vec![0; 1 << 20];
        client.read_exact(&mut text).unwrap();
        assert_eq!(text[..7030], text[7030..14060]);
        drop(client);
        server.join().unwrap().unwrap();
    }
}
