//! The options that say on whose units a subcommand works.

use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, ValueHint};

use crate::log::reason;
use crate::root;
use crate::systemd::{Place, Scope};

#[derive(Debug, Args)]
pub(super) struct PlaceOptions {
    /// Work on the system in this directory
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = ValueHint::DirPath, value_parser = root())]
    pub root: PathBuf,
    /// Work on your own services (systemctl --user) instead of the system's; with --root, on those of
    /// all users of that system
    #[arg(long)]
    pub user: bool,
}

/// Parses the root directory of a system, and opens it. It has to exist: without it, every answer would be that
/// nothing is there.
pub(super) fn root() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match root::hold(&path) {
        Ok(()) => Ok(path),
        Err(error) => Err(reason(&error)),
    })
}

impl PlaceOptions {
    pub(super) fn place(&self) -> Place {
        place(&self.root, self.user)
    }
}

/// The place of `--user`, or without it that of the system.
pub(super) fn place(root: impl Into<PathBuf>, user: bool) -> Place {
    let scope = match user {
        true => Scope::User,
        false => Scope::System,
    };
    Place::new(root, scope)
}
