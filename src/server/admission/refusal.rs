//! Reasons to refuse a connection, and the messages for its client.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Refusal {
    /// The concurrency limit is reached.
    Full,
    /// The per-source limit is reached.
    Source,
    /// The rate limit of the source is reached.
    SourceRate,
    /// The source has a penalty.
    Penalty,
    /// The rate limit is reached.
    Rate,
    /// The load limit is reached.
    Load,
    /// It is outside the access times.
    AccessTimes,
    /// The remote address is denied, or not allowed.
    Address,
    /// The program cannot be started.
    Failure,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Full => "concurrency limit reached",
            Refusal::Source => "per-source limit reached",
            Refusal::SourceRate => "per-source rate limit reached",
            Refusal::Penalty => "penalty",
            Refusal::Rate => "rate limit reached",
            Refusal::Load => "load limit reached",
            Refusal::AccessTimes => "outside the access times",
            Refusal::Address => "address not allowed",
            Refusal::Failure => "program cannot be started",
        })
    }
}

impl Refusal {
    /// Returns whether the source exceeded a limit of its own, and may get a penalty.
    pub(crate) fn is_offence(self) -> bool {
        matches!(self, Refusal::Source | Refusal::SourceRate)
    }

    /// Returns whether other connections are the reason, of which a process for one connection knows
    /// nothing.
    pub(crate) fn needs_all_connections(self) -> bool {
        match self {
            Refusal::Full
            | Refusal::Source
            | Refusal::SourceRate
            | Refusal::Penalty
            | Refusal::Rate => true,
            Refusal::Load | Refusal::AccessTimes | Refusal::Address | Refusal::Failure => false,
        }
    }

    /// The message that the client receives by default.
    fn default_message(self) -> &'static str {
        match self {
            Refusal::Full => "Too many connections; please try again later\n",
            Refusal::Source => "Too many connections from your address; please try again later\n",
            Refusal::SourceRate => {
                "Too many connections from your address in a short time; please try again later\n"
            }
            Refusal::Penalty => "Your address is refused for some time; please try again later\n",
            Refusal::Rate => "Too many connections in a short time; please try again later\n",
            Refusal::Load => "Too busy; please try again later\n",
            Refusal::AccessTimes => "This service is closed at this time of day\n",
            Refusal::Address => "Your address may not use this service\n",
            Refusal::Failure => "This service is out of order; please try again later\n",
        }
    }
}

/// A message that replaces a default: `full=Come back tomorrow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusalMessage {
    /// `None` for all reasons.
    reason: Option<Refusal>,
    text: String,
}

/// The word for all reasons.
const ALL: &str = "all";

impl FromStr for RefusalMessage {
    type Err = String;

    fn from_str(text: &str) -> Result<RefusalMessage, String> {
        let (reason, text) = text
            .split_once('=')
            .ok_or("give a reason and a text, such as full=Come back tomorrow")?;
        let one = |reason| match Refusal::from_str(reason, false) {
            Ok(reason) => Ok(reason),
            Err(_) => {
                let variants = Refusal::value_variants().iter();
                let names = variants.filter_map(|reason| {
                    let value = reason.to_possible_value()?;
                    Some(value.get_name().to_owned())
                });
                let names: Vec<_> = names.chain([ALL.to_owned()]).collect();
                Err(format!(
                    "unknown reason {reason:?}: use {}",
                    names.join(", ")
                ))
            }
        };
        Ok(RefusalMessage {
            reason: match reason {
                ALL => None,
                reason => Some(one(reason)?),
            },
            text: text.into(),
        })
    }
}

impl fmt::Display for RefusalMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason.and_then(|reason| reason.to_possible_value());
        let reason = reason.as_ref().map_or(ALL, |reason| reason.get_name());
        write!(f, "{reason}={}", self.text)
    }
}

impl RefusalMessage {
    /// When it is sent; `None` for all reasons.
    pub(crate) fn reason(&self) -> Option<Refusal> {
        self.reason
    }
}

/// The messages for clients that are refused.
#[derive(Debug, Default)]
pub(crate) struct RefusalMessages {
    banner: Vec<u8>,
    messages: Vec<RefusalMessage>,
}

impl RefusalMessages {
    /// Messages that replace the defaults, and a banner that is sent before each message.
    pub(crate) fn new(messages: Vec<RefusalMessage>, banner: Vec<u8>) -> RefusalMessages {
        RefusalMessages { banner, messages }
    }

    /// The banner and the message for a reason.
    pub(crate) fn text(&self, reason: Refusal) -> Vec<u8> {
        let mut text = self.banner.clone();
        let mut messages = self.messages.iter();
        let own = messages.rfind(|own| own.reason.is_none_or(|own| own == reason));
        match own.map(|own| own.text.as_bytes()) {
            None => text.extend_from_slice(reason.default_message().as_bytes()),
            // An empty text means that no message is sent.
            Some([]) => {}
            Some(own) => {
                text.extend_from_slice(own);
                text.push(b'\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_message_for_a_reason_replaces_the_default() {
        let own = ["full=Later!", "load=", "full=a=b"].map(|text| text.parse().unwrap());
        let messages = RefusalMessages::new(own.into(), b"Sorry.\n".into());
        assert_eq!(messages.text(Refusal::Full), b"Sorry.\na=b\n");
        assert_eq!(messages.text(Refusal::Load), b"Sorry.\n");
        assert_eq!(
            messages.text(Refusal::AccessTimes),
            b"Sorry.\nThis service is closed at this time of day\n"
        );
        let error = "later=x".parse::<RefusalMessage>().unwrap_err();
        assert!(error.contains(
            "use full, source, source-rate, penalty, rate, load, access-times, address, failure, all"
        ));
        let all: [RefusalMessage; 2] = ["all=", "full=Later!"].map(|text| text.parse().unwrap());
        assert_eq!(all[0].to_string(), "all=");
        let messages = RefusalMessages::new(all.into(), Vec::new());
        assert_eq!(messages.text(Refusal::Full), b"Later!\n");
        assert_eq!(messages.text(Refusal::Address), b"");
        assert!("full".parse::<RefusalMessage>().is_err());
    }
}
