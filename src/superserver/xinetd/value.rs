//! The values that each attribute takes.

use super::address::{self, Parsed};
use super::block::Operator;
use crate::superserver::word::is_space;
use crate::superserver::{System, Word};

/// The first bad value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadValue {
    /// The number of good values before it.
    pub(super) index: usize,
    /// Why it is bad, as the end of `ATTRIBUTE in line N: …`.
    pub(super) why: String,
}

const TYPES: [&str; 6] = [
    "RPC",
    "INTERNAL",
    "UNLISTED",
    "SPECIAL",
    "TCPMUX",
    "TCPMUXPLUS",
];
const FLAGS: [&str; 12] = [
    "REUSE",
    "INTERCEPT",
    "NORETRY",
    "IDONLY",
    "NAMEINARGS",
    "NODELAY",
    "KEEPALIVE",
    "NOLIBWRAP",
    "SENSOR",
    "IPv4",
    "IPv6",
    "LABELED",
];
const ON_SUCCESS: [&str; 6] = ["HOST", "DURATION", "EXIT", "PID", "USERID", "TRAFFIC"];
const ON_FAILURE: [&str; 3] = ["HOST", "ATTEMPT", "USERID"];
const FACILITIES: [&str; 17] = [
    "daemon", "auth", "authpriv", "user", "mail", "lpr", "news", "uucp", "ftp", "local0", "local1",
    "local2", "local3", "local4", "local5", "local6", "local7",
];
const LEVELS: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];
const SOCKET_TYPES: [&str; 4] = ["stream", "dgram", "raw", "seqpacket"];

/// Checks the values of an attribute. Their number is right already.
///
/// # Errors
///
/// xinetd disables a service because of them, and does not start if they are in `defaults`.
pub(super) fn check(
    attribute: &str,
    operator: Operator,
    values: &[Word],
    system: &dyn System,
) -> Result<(), BadValue> {
    let each = |check: &dyn Fn(&Word) -> Result<(), String>| {
        for (index, value) in values.iter().enumerate() {
            check(value).map_err(|why| BadValue { index, why })?;
        }
        Ok(())
    };
    let one_of = |known: &[&str]| {
        each(&|value| match known.iter().any(|known| value.is(known)) {
            true => Ok(()),
            false => Err(format!("{value} is not one of {}", known.join(", "))),
        })
    };
    let holds = |holds: bool, why: &str| match holds {
        true => Ok(()),
        false => Err(BadValue {
            index: 0,
            why: why.into(),
        }),
    };
    let first = values.first().map_or(&[][..], |word| &word.bytes);
    let is = |text: &str| values.first().is_some_and(|word| word.is(text));
    let needs_values = || holds(!values.is_empty(), "no value");
    match attribute {
        "socket_type" => one_of(&SOCKET_TYPES),
        "protocol" => holds(system.protocol(first).is_some(), "no such protocol"),
        "wait" | "disable" | "groups" | "v6only" => one_of(&["yes", "no"]),
        "user" => holds(
            is_id(first) || (!is_digits(first) && system.has_user(first)),
            "no such user",
        ),
        "group" => holds(
            is_id(first) || (!is_digits(first) && system.has_group(first)),
            "no such group",
        ),
        "server" => holds(system.is_executable(first), "no executable file"),
        "server_args" => needs_values(),
        "instances" | "per_source" => holds(
            is("UNLIMITED") || integer(first).is_some_and(|n| n >= 0),
            "neither UNLIMITED nor a number",
        ),
        "log_on_success" => one_of(&ON_SUCCESS),
        "log_on_failure" => one_of(&ON_FAILURE),
        "log_type" => log_type(values),
        "only_from" | "no_access" => each(&|value| match address::parse(&value.bytes, system) {
            Parsed::Bad(why) => Err(format!("{value}: {why}")),
            _ => Ok(()),
        }),
        "access_times" => {
            needs_values()?;
            each(&|value| match is_interval(&value.bytes) {
                true => Ok(()),
                false => Err(format!(
                    "{value} is not an interval HH:MM-HH:MM within one day"
                )),
            })
        }
        "type" => needs_values().and_then(|()| one_of(&TYPES)),
        "flags" => needs_values().and_then(|()| one_of(&FLAGS)),
        "rpc_version" => holds(is_version(first), "neither a number nor a range of them"),
        "rpc_number" | "nice" => holds(integer(first).is_some(), "not a number"),
        "env" => {
            holds(operator != Operator::Remove, "-= is not possible")?;
            each(&|value| match value.bytes.contains(&b'=') {
                true => Ok(()),
                false => Err(format!("no = in {value}")),
            })
        }
        "port" => holds(port(first).is_some(), "not a number from 0 to 65535"),
        "redirect" => redirect(values, system),
        "bind" => {
            let resolves = system
                .addresses(first)
                .is_none_or(|found| !found.is_empty());
            holds(resolves, "neither an address nor the name of a host")
        }
        "cps" => each(&|value| match unsigned(&value.bytes) {
            Some(number) if i32::try_from(number as u32).is_ok() => Ok(()),
            _ => Err(format!("{value} is not a number")),
        }),
        "max_load" => holds(is_load(first), "not a number other than 0"),
        "rlimit_cpu" => holds(
            is("UNLIMITED") || unsigned(first).is_some(),
            "neither UNLIMITED nor a number",
        ),
        "rlimit_as" | "rlimit_data" | "rlimit_files" | "rlimit_rss" | "rlimit_stack" => holds(
            is("UNLIMITED") || limit(first).is_some(),
            "neither UNLIMITED nor a number, which K or M may follow",
        ),
        "deny_time" => holds(
            is("FOREVER") || is("NEVER") || integer(first).is_some(),
            "neither FOREVER, NEVER nor a number",
        ),
        "umask" => holds(
            number(first, 8).is_some_and(|umask| (0..=0o777).contains(&(umask as i32))),
            "not an octal number up to 777",
        ),
        _ => Ok(()),
    }
}

/// The port of `port`.
pub(super) fn port(word: &[u8]) -> Option<u16> {
    u16::try_from(integer(word)?).ok()
}

fn log_type(values: &[Word]) -> Result<(), BadValue> {
    let bad = |index, why: &str| {
        Err(BadValue {
            index,
            why: why.into(),
        })
    };
    let known = |word: &Word, known: &[&str]| known.iter().any(|known| word.is(known));
    match values {
        [] => bad(0, "no value"),
        [kind, rest @ ..] if kind.is("FILE") => match rest {
            [_] => Ok(()),
            [_, soft] if limit(&soft.bytes).is_some() => Ok(()),
            [_, soft, hard] => match (limit(&soft.bytes), limit(&hard.bytes)) {
                (Some(soft), Some(hard)) if soft <= hard => Ok(()),
                _ => bad(2, "the limits are not two sizes in order"),
            },
            _ => bad(1, "FILE takes a path and up to two sizes"),
        },
        [kind, rest @ ..] if kind.is("SYSLOG") => match rest {
            [facility] if known(facility, &FACILITIES) => Ok(()),
            [facility, level] if known(facility, &FACILITIES) && known(level, &LEVELS) => Ok(()),
            _ => bad(1, "SYSLOG takes a facility and a level"),
        },
        _ => bad(0, "neither FILE nor SYSLOG"),
    }
}

fn redirect(values: &[Word], system: &dyn System) -> Result<(), BadValue> {
    let [host, port] = values else {
        return Ok(());
    };
    let bad = |index, why: &str| {
        Err(BadValue {
            index,
            why: why.into(),
        })
    };
    let number = integer(&port.bytes).filter(|port| *port > 0);
    let listed = || system.port(&port.bytes, b"tcp").map(i32::from);
    if number.or_else(listed).is_none_or(|port| port > 65535) {
        return bad(
            1,
            "neither a port nor a TCP service of the services database",
        );
    }
    let wants_v6 = host.bytes.contains(&b':');
    match system.addresses(&host.bytes) {
        Some(found) if !found.iter().any(|a| a.is_ipv6() == wants_v6) => {
            bad(0, "neither an address nor the name of a host")
        }
        _ => Ok(()),
    }
}

fn is_digits(word: &[u8]) -> bool {
    word.iter().all(u8::is_ascii_digit)
}

/// Whether it is the number of a user or a group. xinetd does not ask whether they exist.
fn is_id(word: &[u8]) -> bool {
    is_digits(word) && unsigned(word).is_some()
}

fn is_version(word: &[u8]) -> bool {
    match word.iter().position(|byte| *byte == b'-') {
        Some(dash) => match (integer(&word[..dash]), integer(&word[dash + 1..])) {
            (Some(min), Some(max)) => min <= max,
            _ => false,
        },
        None => integer(word).is_some(),
    }
}

fn is_interval(word: &[u8]) -> bool {
    let number = |digits: &str, max: u32| {
        let digits_only = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = match digits {
            "" => Some(0),
            _ if digits_only => digits.parse::<u32>().ok(),
            _ => None,
        };
        number.filter(|number| *number <= max)
    };
    let minutes = |time: &str| {
        let (hours, minutes) = time.split_once(':')?;
        Some(number(hours, 23)? * 60 + number(minutes, 59)?)
    };
    let text = String::from_utf8_lossy(word);
    let Some((start, end)) = text.split_once('-') else {
        return false;
    };
    matches!((minutes(start), minutes(end)), (Some(start), Some(end)) if start < end)
}

/// Whether sscanf(3) reads a number other than 0 with `%lf`. What follows the number does not count.
fn is_load(word: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&word[..word.len().min(32)]);
    let lengths = (1..=text.len()).rev();
    let mut prefixes = lengths.filter_map(|length| text.get(..length));
    prefixes
        .find_map(|prefix| prefix.parse::<f64>().ok())
        .is_some_and(|load| load != 0.0)
}

/// A size: a number of bytes, or of KiB or MiB with `K` or `M`.
fn limit(word: &[u8]) -> Option<u64> {
    let end = word.iter().rposition(|byte| !is_space(*byte))?;
    let (digits, factor) = match word[end] {
        b'k' | b'K' => (&word[..end], 1024),
        b'm' | b'M' => (&word[..end], 1024 * 1024),
        _ => (word, 1),
    };
    unsigned(digits)?.checked_mul(factor)
}

/// A decimal number, cut to an int as xinetd does it.
fn integer(word: &[u8]) -> Option<i32> {
    number(word, 10).map(|number| number as i32)
}

/// strtol(3) with nothing but white space after the number.
fn number(word: &[u8], radix: u32) -> Option<i64> {
    let (sign, digits) = sign_and_digits(word)?;
    match sign {
        true => i64::from_str_radix(&format!("-{digits}"), radix).ok(),
        false => i64::from_str_radix(digits, radix).ok(),
    }
}

/// strtoull(3), which takes a negative number modulo 2^64, with nothing but white space after it.
fn unsigned(word: &[u8]) -> Option<u64> {
    let (is_negative, digits) = sign_and_digits(word)?;
    let number: u64 = digits.parse().ok()?;
    Some(match is_negative {
        true => number.wrapping_neg(),
        false => number,
    })
}

/// Whether there is a minus sign, and the digits of a number between white space.
fn sign_and_digits(word: &[u8]) -> Option<(bool, &str)> {
    let text = std::str::from_utf8(word).ok()?;
    let text = text.trim_matches(|c: char| c.is_ascii() && is_space(c as u8));
    let (sign, digits) = match text.as_bytes() {
        // strtol takes white space alone for 0.
        [] if !word.is_empty() => (false, "0"),
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !digits.is_empty()).then_some((sign, digits))
}
