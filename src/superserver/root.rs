//! What the parsers have to know, from the files below a root directory.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::Group;

use super::{System, xinetd};
use crate::executable::user_exists;
use crate::root::{read, trace};
use crate::services;

/// A system below a root directory, which answers from its files.
pub(super) struct Root<'a> {
    root: &'a Path,
    services: OnceCell<Vec<u8>>,
    protocols: OnceCell<Vec<u8>>,
    hosts: OnceCell<Vec<u8>>,
}

impl Root<'_> {
    pub(super) fn new(root: &Path) -> Root<'_> {
        Root {
            root,
            services: OnceCell::new(),
            protocols: OnceCell::new(),
            hosts: OnceCell::new(),
        }
    }

    fn text(&self, file: &str) -> Vec<u8> {
        read(self.root, &self.root.join(file)).unwrap_or_default()
    }
}

impl System for Root<'_> {
    fn has_user(&self, name: &[u8]) -> bool {
        std::str::from_utf8(name).is_ok_and(|name| user_exists(self.root, name))
    }

    fn has_group(&self, name: &[u8]) -> bool {
        let is_in_file = || {
            let text = self.text("etc/group");
            let mut lines = text.split(|byte| *byte == b'\n');
            lines.any(|line| line.split(|byte| *byte == b':').next() == Some(name))
        };
        // On the running system, a directory service may have it.
        let name = std::str::from_utf8(name);
        let is_known = |name| matches!(Group::from_name(name), Ok(Some(_)));
        is_in_file() || (self.root == Path::new("/") && name.is_ok_and(is_known))
    }

    fn is_executable(&self, path: &[u8]) -> bool {
        match trace(self.root, Path::new(OsStr::from_bytes(path))) {
            Ok(traced) => traced.status.is_dir() || traced.status.mode() & 0o111 != 0,
            // xinetd runs as root, and may go where the caller may not.
            Err(error) => error.why.kind() == io::ErrorKind::PermissionDenied,
        }
    }

    fn protocol(&self, name: &[u8]) -> Option<u8> {
        let protocols = self.protocols.get_or_init(|| self.text("etc/protocols"));
        let found = entries(protocols).find(|(names, _)| names.contains(&name));
        match found {
            Some((_, number)) => std::str::from_utf8(number).ok()?.parse().ok(),
            // Every system knows these; the file may be missing in a tree that is not a whole system.
            None => match name {
                b"tcp" | b"TCP" => Some(6),
                b"udp" | b"UDP" => Some(17),
                _ => None,
            },
        }
    }

    fn port(&self, name: &[u8], protocol: &[u8]) -> Option<u16> {
        let services = self.services.get_or_init(|| self.text(services::FILE));
        services::port(services, name, protocol)
    }

    fn has_rpc_program(&self, name: &[u8]) -> bool {
        let text = self.text("etc/rpc");
        entries(&text).any(|(names, _)| names.contains(&name))
    }

    fn network(&self, name: &[u8]) -> Option<u32> {
        let text = self.text("etc/networks");
        let (_, address) = entries(&text).find(|(names, _)| names.contains(&name))?;
        let text = std::str::from_utf8(address).ok()?;
        let mut bytes = [0; 4];
        for (byte, part) in bytes.iter_mut().zip(text.split('.')) {
            *byte = part.parse().ok()?;
        }
        Some(u32::from_be_bytes(bytes)).filter(|address| *address != 0)
    }

    fn addresses(&self, host: &[u8]) -> Option<Vec<IpAddr>> {
        let text = std::str::from_utf8(host).ok()?;
        if let Some(address) = xinetd::numeric_address(text) {
            return Some(vec![address]);
        }
        let is_number = host
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.');
        if is_number || host.contains(&b':') {
            return Some(Vec::new());
        }
        let hosts = self.hosts.get_or_init(|| self.text("etc/hosts"));
        let found = fields(hosts).filter_map(|fields| {
            let (address, names) = fields.split_first()?;
            let is_name = names.iter().any(|name| name.eq_ignore_ascii_case(host));
            let address = std::str::from_utf8(address).ok()?.parse().ok()?;
            is_name.then_some(address)
        });
        // The name server is not asked: it may know a name that the file does not have.
        Some(found.collect::<Vec<_>>()).filter(|found| !found.is_empty())
    }
}

/// The fields of the lines of a database in /etc, without comments.
pub(crate) fn fields(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    text.split(|byte| *byte == b'\n').map(|line| {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let fields = line.split(u8::is_ascii_whitespace);
        fields.filter(|field| !field.is_empty()).collect()
    })
}

/// The entries of a database whose lines are `NAME VALUE ALIAS…`: the names and the value.
fn entries(text: &[u8]) -> impl Iterator<Item = (Vec<&[u8]>, &[u8])> {
    fields(text)
        .filter_map(|mut fields| (fields.len() >= 2).then(|| (fields.remove(0), fields)))
        .map(|(name, mut fields)| {
            let value = fields.remove(0);
            fields.insert(0, name);
            (fields, value)
        })
}
