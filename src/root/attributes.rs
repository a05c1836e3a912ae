//! Extended attributes: access control lists, labels of security modules, and those of users.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;

use rustix::buffer::spare_capacity;
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;

use crate::log::reason;

/// What a new text invalidates: signatures of the old one and, as the set-user-ID bit, capabilities.
const OF_THE_TEXT: [&CStr; 3] = [c"security.capability", c"security.evm", c"security.ima"];

/// The most bytes of a value, and of all names, that the kernel returns.
const MAX_SIZE: usize = 64 << 10;

/// Gives a new file the attributes of an old one, and no others: it may have inherited some from its directory.
///
/// # Errors
///
/// One cannot be read, set or removed.
pub(super) fn copy(old: &File, new: &File) -> io::Result<()> {
    let (wanted, inherited) = (names(old)?, names(new)?);
    // Labels of security modules cannot be removed.
    let is_label = |name: &CStr| name.to_bytes().starts_with(b"security.");
    for name in inherited.iter().filter(|name| !is_label(name)) {
        if !wanted.contains(name) {
            fremovexattr(new, name.as_c_str()).map_err(|errno| failed(name, errno))?;
        }
    }
    for name in wanted {
        if OF_THE_TEXT.contains(&name.as_c_str()) {
            continue;
        }
        let value = value(old, &name)?;
        // To set a label can be forbidden even if the file has it.
        if !inherited.contains(&name) || self::value(new, &name)? != value {
            let set = fsetxattr(new, name.as_c_str(), &value, XattrFlags::empty());
            set.map_err(|errno| failed(&name, errno))?;
        }
    }
    Ok(())
}

/// The names of a file's attributes.
fn names(file: &File) -> io::Result<Vec<CString>> {
    let mut list = Vec::with_capacity(MAX_SIZE);
    match flistxattr(file, spare_capacity(&mut list)) {
        // The file system has no such attributes.
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        listed => listed?,
    };
    let names = list.split_inclusive(|byte| *byte == 0);
    Ok(names
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .map(CStr::to_owned)
        .collect())
}

fn value(file: &File, name: &CStr) -> io::Result<Vec<u8>> {
    let mut value = Vec::with_capacity(MAX_SIZE);
    fgetxattr(file, name, spare_capacity(&mut value)).map_err(|errno| failed(name, errno))?;
    Ok(value)
}

fn failed(name: &CStr, errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    let name = name.to_string_lossy();
    io::Error::new(
        error.kind(),
        format!("the extended attribute {name}: {}", reason(&error)),
    )
}
