//! Services in the configuration files of xinetd and inetd.

use super::{Finding, FindingKind, Location, Query, Severity};
use crate::superserver::{Position, Word, inetd, load, xinetd};
use crate::systemd::Place;

/// Adds the services of xinetd and inetd with the name or the port.
pub(super) fn find(place: &Place, query: Query<'_>, findings: &mut Vec<Finding>) {
    let loaded = load(place);
    for (path, error) in &loaded.unread {
        findings.extend(Finding::unread_if_exists(path, error));
    }
    let xinetd = loaded.xinetd.services.iter().map(of_xinetd);
    let inetd = loaded.inetd.iter().flat_map(|file| &file.services);
    let services = xinetd.chain(inetd.map(of_inetd));
    findings.extend(services.filter_map(|service| service.finding(query)));
}

fn of_xinetd(service: &xinetd::Service) -> ConfiguredService<'_> {
    let port = service.setting("port").map(|setting| &setting.position);
    ConfiguredService {
        program: "xinetd",
        shown: &service.id,
        name: &service.name,
        port: service.socket.port,
        is_tcp: service.is_tcp(),
        is_disabled: service.refusal.as_ref().is_some_and(|r| r.is_disabled()),
        refusal: service.refusal.as_ref().map(ToString::to_string),
        position: port.unwrap_or(&service.position),
        is_compat: service.is_inetd_line,
    }
}

fn of_inetd(service: &inetd::Service) -> ConfiguredService<'_> {
    let disabled = service.is_disabled.then_some("disabled with #<off>#");
    let not_listed = service.is_not_listed();
    let refusal = disabled.or(not_listed.then_some("it is not in the services database"));
    ConfiguredService {
        program: "inetd",
        shown: &service.name,
        name: &service.name,
        port: service.port,
        is_tcp: service.is_tcp(),
        is_disabled: service.is_disabled,
        refusal: refusal.map(str::to_string),
        position: &service.position,
        is_compat: false,
    }
}

/// A service of xinetd or inetd.
struct ConfiguredService<'a> {
    program: &'static str,
    shown: &'a Word,
    name: &'a Word,
    port: Option<u16>,
    is_tcp: bool,
    /// Somebody disabled it.
    is_disabled: bool,
    /// Why the program does not serve it.
    refusal: Option<String>,
    position: &'a Position,
    /// xinetd reads it in inetd.conf.
    is_compat: bool,
}

impl ConfiguredService<'_> {
    fn finding(self, query: Query<'_>) -> Option<Finding> {
        let names = [self.shown, self.name];
        let name = names.iter().any(|name| name.bytes == query.name.as_ref());
        let port = query.is_port(self.port);
        // A service for UDP and a service that is not served do not use the TCP port.
        let in_use = port && self.refusal.is_none() && self.is_tcp;
        (name || port).then(|| Finding {
            severity: if in_use {
                Severity::Conflict
            } else {
                Severity::Note
            },
            // The name of a service there does not matter to systemd.
            claim: query.claim(name && !in_use, port),
            location: Location::File(self.position.file.to_path_buf(), Some(self.position.line)),
            kind: FindingKind::SuperServer {
                program: self.program,
                service: self.shown.to_string(),
                disabled: self.is_disabled,
                refusal: self.refusal.filter(|_| !self.is_disabled),
                tcp: self.is_tcp,
                compat: self.is_compat,
            },
        })
    }
}
