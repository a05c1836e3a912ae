//! The attributes that xinetd knows.

use crate::superserver::Word;

/// How many values an attribute takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Exactly(usize),
    Any,
    /// Any number, and `+=` and `-=` change what is set already.
    List,
}

/// An attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) name: &'static str,
    pub(crate) count: Count,
}

const fn one(name: &'static str) -> Attribute {
    let count = Count::Exactly(1);
    Attribute { name, count }
}

const fn two(name: &'static str) -> Attribute {
    let count = Count::Exactly(2);
    Attribute { name, count }
}

const fn any(name: &'static str) -> Attribute {
    let count = Count::Any;
    Attribute { name, count }
}

const fn list(name: &'static str) -> Attribute {
    let count = Count::List;
    Attribute { name, count }
}

/// The attributes of services.
const SERVICE: [Attribute; 43] = [
    one("socket_type"),
    one("protocol"),
    one("wait"),
    one("user"),
    one("group"),
    one("server"),
    any("server_args"),
    one("instances"),
    list("log_on_success"),
    list("log_on_failure"),
    any("log_type"),
    list("only_from"),
    list("no_access"),
    any("access_times"),
    any("type"),
    one("rpc_version"),
    one("rpc_number"),
    one("id"),
    list("env"),
    one("port"),
    list("passenv"),
    any("flags"),
    one("nice"),
    two("redirect"),
    one("banner"),
    one("bind"),
    one("per_source"),
    one("groups"),
    one("banner_success"),
    one("banner_fail"),
    two("cps"),
    one("disable"),
    one("max_load"),
    one("rlimit_as"),
    one("rlimit_cpu"),
    one("rlimit_data"),
    one("rlimit_files"),
    one("rlimit_rss"),
    one("rlimit_stack"),
    one("v6only"),
    one("deny_time"),
    one("umask"),
    one("libwrap"),
];

/// The attributes of `defaults`.
const DEFAULTS: [Attribute; 19] = [
    list("log_type"),
    list("log_on_success"),
    list("log_on_failure"),
    list("disabled"),
    list("enabled"),
    list("no_access"),
    list("only_from"),
    one("instances"),
    list("passenv"),
    one("banner"),
    one("bind"),
    one("per_source"),
    one("groups"),
    one("banner_success"),
    one("banner_fail"),
    two("cps"),
    one("max_load"),
    one("v6only"),
    one("umask"),
];

impl Attribute {
    /// The attribute of a service with this name, in upper or lower case.
    pub(crate) fn of_service(name: &Word) -> Option<Attribute> {
        find(&SERVICE, name)
    }

    /// The attribute of `defaults` with this name, in upper or lower case.
    pub(crate) fn of_defaults(name: &Word) -> Option<Attribute> {
        find(&DEFAULTS, name)
    }

    pub(crate) fn is_list(self) -> bool {
        self.count == Count::List
    }
}

fn find(attributes: &[Attribute], name: &Word) -> Option<Attribute> {
    let canonical = |known: &Attribute| name.is(known.name);
    let interface = |known: &Attribute| known.name == "bind" && name.is("interface");
    let mut attributes = attributes.iter();
    attributes
        .find(|known| canonical(known) || interface(known))
        .copied()
}
