//! What refused clients are told.

use std::str::FromStr;

use clap::ValueEnum;

/// Why a client is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reason {
    /// All places are taken.
    Full,
    /// Its address has too many connections.
    Source,
    /// Too many have come in too little time.
    Rate,
    /// The machine is too busy.
    Load,
    /// It is not the time of the day.
    Hours,
    /// Its address is not allowed.
    Address,
    /// What would serve it cannot be started.
    Failure,
}

impl Reason {
    /// What is told where the user has said nothing.
    fn sentence(self) -> &'static str {
        match self {
            Reason::Full => "Too many connections; please try again later\n",
            Reason::Source => "Too many connections from your address; please try again later\n",
            Reason::Rate => "Too many connections in a short time; please try again later\n",
            Reason::Load => "Too busy; please try again later\n",
            Reason::Hours => "This service is closed at this time of the day\n",
            Reason::Address => "Your address may not use this service\n",
            Reason::Failure => "This service is out of order; please try again later\n",
        }
    }

    /// How its connection ended, for the record.
    pub fn end(self) -> &'static str {
        match self {
            Reason::Full => "refused, as all places are taken",
            Reason::Source => "refused, as its address has too many connections",
            Reason::Rate => "refused, as too many have come in a short time",
            Reason::Load => "refused, as the load is too high",
            Reason::Hours => "refused, as it is not the time of the day",
            Reason::Address => "refused, as its address is not allowed",
            Reason::Failure => "refused, as the program cannot be started",
        }
    }
}

/// Another sentence for a reason: `full=Come back tomorrow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    reason: Reason,
    text: String,
}

impl FromStr for Message {
    type Err = String;

    fn from_str(text: &str) -> Result<Message, String> {
        let (reason, text) = text
            .split_once('=')
            .ok_or("give a reason and a text, such as full=Come back tomorrow")?;
        let reason = Reason::from_str(reason, false).map_err(|_| {
            let reasons: Vec<_> = Reason::value_variants()
                .iter()
                .filter_map(|reason| Some(reason.to_possible_value()?.get_name().to_owned()))
                .collect();
            format!("there is no reason {reason:?}, only {}", reasons.join(", "))
        })?;
        Ok(Message {
            reason,
            text: text.into(),
        })
    }
}

/// What clients are told, for each reason.
#[derive(Debug, Default)]
pub struct Words {
    banner: Vec<u8>,
    messages: Vec<Message>,
}

impl Words {
    /// The user's own sentences, and what is sent before any of them.
    pub fn new(messages: Vec<Message>, banner: Vec<u8>) -> Words {
        Words { banner, messages }
    }

    /// What a client is told; an empty sentence of the user's is none.
    pub fn tell(&self, reason: Reason) -> Vec<u8> {
        let mut told = self.banner.clone();
        let own = self.messages.iter().rfind(|own| own.reason == reason);
        match own.map(|own| own.text.as_bytes()) {
            None => told.extend_from_slice(reason.sentence().as_bytes()),
            Some([]) => {}
            Some(text) => {
                told.extend_from_slice(text);
                told.push(b'\n');
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_has_the_last_word() {
        let own = ["full=Later!", "load=", "full=a=b"].map(|text| text.parse().unwrap());
        let words = Words::new(own.into(), b"Sorry.\n".into());
        assert_eq!(words.tell(Reason::Full), b"Sorry.\na=b\n");
        assert_eq!(words.tell(Reason::Load), b"Sorry.\n");
        assert_eq!(
            words.tell(Reason::Hours),
            b"Sorry.\nThis service is closed at this time of the day\n"
        );
        let told = "later=x".parse::<Message>().unwrap_err();
        assert!(told.contains("only full, source, rate, load, hours, address, failure"));
        assert!("full".parse::<Message>().is_err());
    }
}
