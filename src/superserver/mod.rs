//! Reads the configuration of xinetd and inetd as these programs read it: what they serve, and why they
//! do not serve the rest.
//!
//! The parsers take bytes and do no I/O. What they have to know of the system, they ask through
//! [`System`]. [`load`] reads the files below a root directory and answers from the files there.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fixed_system;
pub(crate) mod inetd;
mod load;
mod meant;
mod reader;
mod root;
pub(crate) mod switch;
mod system;
#[cfg(test)]
mod tests;
mod word;
pub(crate) mod xinetd;

pub(crate) use load::{Loaded, load, load_as, load_file};
pub(crate) use meant::{Reading, differs, serves};
pub(crate) use reader::{INETD_UNITS, XINETD_UNIT, inetd_wraps, is_active};
pub(crate) use root::fields;
pub(crate) use system::System;
pub(crate) use word::{Position, Word};
