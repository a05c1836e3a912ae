//! Why xinetd does not serve a service.

use std::fmt;

use super::block::Fault;
use crate::superserver::{Position, Word};

/// Why xinetd does not serve a service. Its Display is a reason in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `disable = yes`
    Disable(Position),
    /// `#<off>#` before a line of inetd.conf.
    Off,
    /// `disabled` in `defaults` names it.
    Disabled,
    /// `enabled` in `defaults` does not name it.
    NotEnabled,
    /// The entry is lost because of a line.
    Lost(Fault),
    /// A bad value disables it.
    BadValue {
        attribute: Word,
        line: usize,
        why: String,
    },
    /// A bad value in `defaults` ends xinetd.
    Fatal(Position),
    /// Required attributes are missing.
    Missing(Vec<&'static str>),
    /// UNLISTED without a port.
    NoPort,
    /// Neither `protocol` nor `socket_type`.
    NoProtocol,
    /// The services database does not have the name for the protocol.
    NotListed {
        name: Word,
        protocol: String,
        has_port: bool,
    },
    /// The services database has another port.
    OtherPort { listed: u16, port: u16 },
    /// There is no built-in service of this name and type.
    NotBuiltIn(Word),
    /// There is no RPC program of this name.
    NoRpcProgram(Word),
    /// An earlier service has the same port and address.
    Duplicate(Word),
    /// The attributes do not go together.
    Combination(&'static str),
}

impl Refusal {
    /// Whether somebody disabled the service.
    pub(crate) fn is_disabled(&self) -> bool {
        use Refusal as R;
        matches!(self, R::Disable(_) | R::Off | R::Disabled | R::NotEnabled)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Disable(position) => write!(f, "disabled in line {}", position.line),
            Refusal::Off => f.write_str("disabled by #<off>#"),
            Refusal::Disabled => f.write_str("disabled in defaults"),
            Refusal::NotEnabled => f.write_str("not enabled in defaults"),
            Refusal::Lost(fault) => fault.fmt(f),
            Refusal::BadValue {
                attribute,
                line,
                why,
            } => write!(f, "{attribute} in line {line}: {why}"),
            Refusal::Fatal(position) => {
                let file = position.file.display();
                write!(f, "{file}:{}: a bad value in defaults", position.line)
            }
            Refusal::Missing(attributes) => match attributes.as_slice() {
                [one] => write!(f, "the attribute {one} is missing"),
                several => write!(f, "the attributes {} are missing", several.join(", ")),
            },
            Refusal::NoPort => f.write_str("type = UNLISTED, but the attribute port is missing"),
            Refusal::NoProtocol => {
                f.write_str("the attributes protocol and socket_type are missing")
            }
            Refusal::NotListed { name, protocol, .. } => {
                write!(f, "{name}/{protocol} is not in the services database")
            }
            Refusal::OtherPort { listed, port } => write!(
                f,
                "port {port}, but the services database has port {listed} for it"
            ),
            Refusal::NotBuiltIn(name) => write!(f, "there is no built-in service {name}"),
            Refusal::NoRpcProgram(name) => write!(f, "there is no RPC program {name}"),
            Refusal::Duplicate(id) => write!(f, "the service {id} has the port already"),
            Refusal::Combination(why) => f.write_str(why),
        }
    }
}
