//! The metadata of a file, and whether it has an access control list.

use std::fs::{self, Metadata};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::lgetxattr_query;
use rustix::io::Errno;

/// The extended attribute with the list; see acl(5).
const ACCESS_LIST: &str = "system.posix_acl_access";

/// The metadata of a file.
#[derive(Debug, Clone)]
pub(crate) struct FileStatus {
    metadata: Metadata,
    /// With an access control list, the group bits of the mode are the most that named users and groups can have.
    has_list: bool,
}

impl FileStatus {
    /// That of the file itself, even if it is a symbolic link.
    ///
    /// # Errors
    ///
    /// See lstat(2).
    pub(crate) fn of(path: &Path) -> io::Result<FileStatus> {
        let metadata = fs::symlink_metadata(path)?;
        let has_list = !metadata.is_symlink() && has_list(path);
        Ok(FileStatus { metadata, has_list })
    }

    /// Whether the group bits allow writing to somebody in none of these groups: with a list, to users that it names.
    pub(super) fn group_writes(&self, except: [u32; 2]) -> bool {
        let may_write = self.mode() & 0o020 != 0;
        may_write && (self.has_list || !except.contains(&self.gid()))
    }
}

impl Deref for FileStatus {
    type Target = Metadata;

    fn deref(&self) -> &Metadata {
        &self.metadata
    }
}

fn has_list(path: &Path) -> bool {
    // Without a list, or on a file system without lists. Another error leaves open whether there is one.
    !matches!(
        lgetxattr_query(path, ACCESS_LIST),
        Err(Errno::NODATA | Errno::OPNOTSUPP)
    )
}
