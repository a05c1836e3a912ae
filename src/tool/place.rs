//! The options that say on whose units a subcommand works.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::systemd::{Place, Scope};

#[derive(Debug, Args)]
pub struct PlaceOptions {
    /// Work on the system in this directory
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = ValueHint::DirPath)]
    pub root: PathBuf,
    /// Work on the service manager of the calling user; with --root, on the units for all users of
    /// that system
    #[arg(long)]
    pub user: bool,
}

impl PlaceOptions {
    pub fn place(&self) -> Place {
        let scope = if self.user {
            Scope::User
        } else {
            Scope::System
        };
        Place::new(&self.root, scope)
    }
}
