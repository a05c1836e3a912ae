//! The units of a trial: copies of a service's own, under another name and with an address of their own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process;

use super::super::address::Address;
use super::super::subject::Subject;
use crate::connect::Target;
use crate::interrupts::Interrupts;
use crate::systemd::{Manager, Place, Scope, UnitName, runtime};

/// Lines of the copy that come after those of the service.
///
/// An instance whose program has ended stays loaded, so that systemd can be asked how it ended. What
/// the service has in /run is not removed with the copy. Lines of the program at priority info are
/// shown too.
const CHANGES: &str = "Restart=no
RemainAfterExit=yes
RuntimeDirectoryPreserve=yes
TimeoutStopSec=5s
LogLevelMax=info
";

/// Where the units are.
pub(super) fn directory(place: &Place) -> PathBuf {
    match place.scope {
        Scope::System => "/run/systemd/system".into(),
        Scope::User => runtime().join("systemd/user"),
    }
}

/// The units while they exist. Dropping them stops and removes them.
pub(super) struct Units {
    manager: Manager,
    /// The socket's name.
    pub socket: String,
    /// The service's name, or a pattern for its instances.
    pub services: String,
    /// Where the socket listens.
    pub target: Target,
    files: Vec<PathBuf>,
    /// They end the process once the units are removed, which is before this is dropped.
    _interrupts: Interrupts,
}

impl Units {
    /// Writes the units, with more lines for the `[Service]` section.
    pub(super) fn write(
        subject: &Subject<'_>,
        manager: Manager,
        properties: &[String],
    ) -> io::Result<Units> {
        let name = format!("sockunit-try-{}", process::id());
        let directory = directory(subject.place);
        fs::create_dir_all(&directory)?;
        let run = match subject.place.scope {
            Scope::System => "/run".into(),
            Scope::User => runtime(),
        };
        let path = run.join(format!("{name}.sock"));
        let target = address(subject, &path)?;
        let (end, services) = match subject.accept {
            true => ("@.service", "@*.service"),
            false => (".service", ".service"),
        };
        let socket = format!("{name}.socket");
        // An interrupt ends the trial, which is short, only after its units are removed.
        let interrupts = Interrupts::block()?;
        let mut units = Units {
            manager,
            services: format!("{name}{services}"),
            target,
            files: Vec::new(),
            socket,
            _interrupts: interrupts,
        };
        let text = units.socket_text(subject);
        units.put(directory.join(&units.socket), &text)?;
        let text = service_text(subject, properties);
        units.put(directory.join(format!("{name}{end}")), &text)?;
        Ok(units)
    }

    fn put(&mut self, path: PathBuf, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        self.files.push(path);
        file.write_all(text.as_bytes())
    }

    fn socket_text(&self, subject: &Subject<'_>) -> String {
        let listen = match &self.target {
            Target::Tcp { host, service } => format!("{host}:{service}"),
            Target::Unix(path) => path.display().to_string(),
        };
        let accept = if subject.accept { "yes" } else { "no" };
        let name = subject.socket.value("Socket", "FileDescriptorName");
        let name = name.map_or(String::new(), |name| {
            format!("FileDescriptorName={}\n", name.text)
        });
        format!(
            "[Unit]\nDescription=A trial of {}\n[Socket]\nListenStream={listen}\nAccept={accept}\nSocketMode=0600\n\
             RemoveOnStop=yes\n{name}",
            subject.socket.name
        )
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        for unit in [&self.socket, &self.services] {
            let _ = self.manager.stop(unit);
            let _ = self.manager.reset_failed(unit);
        }
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}

/// An address of the same kind as the service's: programs may ask for the address of their client.
fn address(subject: &Subject<'_>, path: &Path) -> io::Result<Target> {
    let listens = subject.socket.listen_directives();
    let mut streams = listens.iter().filter(|listen| listen.is_stream());
    let is_path = |text: &str| matches!(Address::parse(text), Address::Unix(_));
    if streams.all(|listen| is_path(listen.value.text)) {
        return Ok(Target::Unix(path.into()));
    }
    // systemd cannot choose a port itself.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    Ok(Target::new("127.0.0.1", &port.to_string()))
}

/// The `[Service]` section as it is written, with what its specifiers stand for, and the changes.
fn service_text(subject: &Subject<'_>, properties: &[String]) -> String {
    // The slice of a template would stay when its instances have ended.
    let slice = match subject.place.scope {
        Scope::System => "system.slice",
        Scope::User => "app.slice",
    };
    let name = &subject.service.name;
    let mut text = format!("[Unit]\nDescription=A trial of {name}\n[Service]\nSlice={slice}\n");
    for (key, value) in subject.service.section("Service") {
        text += &format!("{key}={}\n", expand(value.text, name));
    }
    text += CHANGES;
    for property in properties {
        text += &format!("{property}\n");
    }
    text
}

/// Replaces the specifiers that stand for the name of the unit. An instance of a template that the socket
/// starts has a name that is not known before.
fn expand(text: &str, unit: &str) -> String {
    let Some(name) = UnitName::parse(unit) else {
        return text.to_string();
    };
    let stem = unit.strip_suffix(".service").unwrap_or(unit);
    let instance = name.instance.filter(|instance| !instance.is_empty());
    let mut expanded = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            expanded.push(character);
            continue;
        }
        match (characters.next(), instance) {
            (Some('p'), _) => expanded += name.prefix,
            (Some('N'), Some(_)) => expanded += stem,
            (Some('n'), Some(_)) => expanded += unit,
            (Some('i'), Some(instance)) => expanded += instance,
            (Some('N'), None) if name.instance.is_none() => expanded += stem,
            (Some('n'), None) if name.instance.is_none() => expanded += unit,
            (Some('N'), None) => expanded += &format!("{stem}%i"),
            (Some('n'), None) => expanded += &format!("{stem}%i.service"),
            (Some(other), _) => expanded.extend(['%', other]),
            (None, _) => expanded.push('%'),
        }
    }
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers_stand_for_the_name_of_the_service_and_not_of_its_copy() {
        for (unit, text, expanded) in [
            (
                "a@.service",
                "%p %N %n %i %%p %t %",
                "a a@%i a@%i.service %i %%p %t %",
            ),
            ("a.service", "%p-%N/%n", "a-a/a.service"),
            ("a@b.service", "%p-%N/%n %i", "a-a@b/a@b.service b"),
        ] {
            assert_eq!(expand(text, unit), expanded);
        }
    }
}
