//! May this user execute this file? Found out from its path, mode, interpreter and ELF header, below
//! any root directory, before anything is started.

mod check;
mod content;
pub(crate) mod elf;
mod readable;
pub(crate) mod run_as;
pub(crate) mod shebang;

pub(crate) use check::{NotExecutable, Visibility, check};
pub(crate) use check::{PATH, find_in_path};
pub(crate) use readable::check_readable;
pub(crate) use run_as::{Access, RunAs, exists as user_exists, group_id};
