//! `sockunit add`: attaches a program to a port.

use std::fmt::Write;
use std::net::Ipv6Addr;
use std::num::NonZeroU16;
use std::path;
use std::str::FromStr;

use clap::{Args, ValueHint};

use super::place::PlaceOptions;
use super::{failed, say, with_hint};
use crate::attach::{
    self, Added, Attachment, Change, Kind, Level, ListenAddress, Plan, UNBUFFER, Variable,
};
use crate::connect::First;
use crate::hint::{Hint, ShellCommand};
use crate::interrupts::Interrupts;
use crate::server::{ConnectionRules, ProxyOptions, SharedLimits, at_least_one};
use crate::services::ServiceName;
use crate::systemd::{Place, Scope};

#[derive(Debug, Args)]
#[command(override_usage = "sockunit add [OPTIONS] <NAME> <PORT> -- <PROGRAM> [ARG]...")]
pub(super) struct Options {
    /// Name of the service, its units, its line in /etc/services and its log entries
    name: ServiceName,
    /// TCP port, for each --listen address that does not name one
    #[arg(value_parser = super::port)]
    port: NonZeroU16,
    /// Program, by its path or as found in PATH, and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM", value_hint = ValueHint::CommandWithArguments)]
    command: Vec<String>,
    /// Listen on this IP address, on every address if it is '*', or on an AF_UNIX socket at this
    /// absolute path; repeatable [default: 127.0.0.1 and ::1]
    #[arg(long, value_name = "ADDRESS[:PORT]|PATH")]
    listen: Vec<Listen>,
    /// Run the program as this user [default: a dynamic user, which systemd allocates; root with
    /// --sandbox privileged]
    #[arg(long, value_name = "USER", value_hint = ValueHint::Username)]
    user_name: Option<String>,
    /// Run the program as this group [default: the user's own]
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Start the program in this directory [default: /]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    directory: Option<String>,
    /// Give the service a directory to write to, /var/lib/NAME, which is also its HOME; it stays when
    /// the service is removed
    #[arg(long)]
    state: bool,
    /// Set an environment variable of the program; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<Variable>,
    /// Add no line to /etc/services
    #[arg(long)]
    no_services: bool,
    /// Serve all connections from one process instead of starting one unit per connection
    #[arg(long)]
    shared: bool,
    /// Restrict what the program can see and do
    #[arg(long, value_enum, default_value_t)]
    sandbox: Level,
    /// Serve at most N connections at once; systemd closes further ones; with --shared, see
    /// --when-full
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least_one)]
    max_connections: u32,
    /// Serve at most N connections from one address at once; systemd closes further ones, and with
    /// --shared they are refused with a message [default: 64]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    per_source: Option<u32>,
    #[command(flatten)]
    proxy: ProxyOptions,
    #[command(flatten)]
    rules: ConnectionRules,
    /// Start the socket at every boot as well
    #[arg(long)]
    enable: bool,
    /// If the service is attached with other options, replace them; its listening socket stays open,
    /// unless the addresses or the kind of service change
    #[arg(long)]
    replace: bool,
    /// Check everything, print each file that would be written, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: PlaceOptions,
    #[command(flatten, next_help_heading = "Options of a service with --shared")]
    limits: SharedLimits,
}

/// A value of `--listen`.
#[derive(Debug, Clone)]
struct Listen {
    address: ListenAddress,
    text: String,
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Listen, &'static str> {
        Ok(Listen {
            address: text.parse()?,
            text: text.into(),
        })
    }
}

impl Listen {
    /// A note, if the address may have been meant as a shorter one and a port.
    fn note(&self) -> Option<String> {
        let text = &self.text;
        let (address, port) = text.rsplit_once(':')?;
        let _: (Ipv6Addr, NonZeroU16) = (address.parse().ok()?, port.parse().ok()?);
        Some(format!(
            "note: {text} is an IPv6 address without a port; write [{address}]:{port} for port {port}\n"
        ))
    }
}

pub(super) fn run(options: Options) -> anyhow::Result<()> {
    let place = options.place.place();
    let notes = options.listen.iter().filter_map(Listen::note);
    say(&notes.collect::<String>())?;
    let mut command = options.command.into_iter();
    let program = command.next().unwrap_or_default();
    let program = attach::absolute_path(&place, &program).map_err(not_attached(&options.name))?;
    let mut rules = options.rules;
    for banner in rules.banner.iter_mut().chain(&mut rules.refused_banner) {
        if place.live() {
            *banner = path::absolute(&*banner)?;
        }
    }
    let attachment = Attachment {
        name: options.name,
        port: options.port,
        listen: options
            .listen
            .into_iter()
            .map(|listen| listen.address)
            .collect(),
        kind: match options.shared {
            true => Kind::Shared,
            false => Kind::PerConnection,
        },
        user: options.user_name,
        group: options.group,
        directory: options.directory,
        state: options.state,
        environment: options.env,
        services_entry: !options.no_services,
        level: options.sandbox,
        max_connections: options.max_connections,
        per_source: options.per_source,
        proxy: options.proxy,
        shared: options.limits,
        rules,
        program,
        arguments: command.collect(),
        enable: options.enable,
        imported: None,
    };
    if options.dry_run {
        let plan = attach::plan(&place, &attachment).map_err(not_attached(&attachment.name))?;
        return say(&planned(&place, &plan));
    }
    // They last until it is said what was done.
    let interrupts = Interrupts::block()?;
    let added = attach::add(&place, &attachment, options.replace, &interrupts);
    let added = added.map_err(|failure| {
        if let attach::Error::Differs(lines) = &*failure.error {
            let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
            if let Err(error) = say(&lines) {
                return error;
            }
        }
        let hint = failure.hint(&place, &attachment.name);
        with_hint(
            format!("cannot attach {}: {failure}", attachment.name),
            hint,
        )
    })?;
    say(&done(&place, &attachment, &added))
}

fn not_attached(name: &ServiceName) -> impl Fn(attach::Error) -> anyhow::Error {
    failed(format!("cannot attach {name}"))
}

/// The files that would be written.
fn planned(place: &Place, plan: &Plan) -> String {
    let mut text = String::new();
    let folder = place.own_folder();
    for unit in &plan.units {
        let path = folder.join(&unit.name);
        // Writing to a String does not fail.
        let _ = writeln!(text, "==> {} <==\n{}", path.display(), unit.text);
    }
    if let Some((link, target)) = &plan.link {
        let link = folder.join(link);
        let _ = writeln!(
            text,
            "==> {} <==\na link to {}\n",
            link.display(),
            target.display()
        );
    }
    if let Some(entry) = &plan.line {
        let path = place.path("/etc/services");
        let _ = writeln!(text, "==> {} <==\none more line:\n{entry}", path.display());
    }
    text
}

/// What was done, and what the user may want to do next.
fn done(place: &Place, attachment: &Attachment, added: &Added) -> String {
    let mut text = String::new();
    let Attachment { name, port, .. } = attachment;
    let folder = place.own_folder();
    match added.change {
        Change::Unchanged => return unchanged(place, name, added),
        Change::Finished => text += "finished what an interrupted sockunit add had begun\n",
        Change::New | Change::Replaced => {
            for unit in &added.plan.units {
                let _ = writeln!(text, "{}: written", folder.join(&unit.name).display());
            }
        }
    }
    let attached = added.plan.attached.as_ref();
    let before = attached.and_then(|attached| attached.line.as_ref());
    if added.plan.line.is_some() && added.plan.line.as_ref() != before {
        let path = place.path("/etc/services");
        let _ = writeln!(text, "{}: added {name} {port}/tcp", path.display());
    }
    let name = name.to_string();
    let user = place.scope.option();
    let systemctl = ShellCommand::new(&["systemctl"]).literals(user);
    let socket = format!("{name}.socket");
    let mut next: Vec<(&str, ShellCommand)> = Vec::new();
    match &added.answer {
        Some(answer) => {
            let _ = writeln!(text, "{socket}: started\n{answer}");
            if answer.first == First::AtHalfClose {
                let _ = writeln!(text, "{}", Hint::new(UNBUFFER));
            }
            // Servers that cannot become other users or read homes often say nothing.
            if answer.closed_without_answer() && attachment.level == Level::Strict {
                text += "hint: a server that starts as root needs --sandbox privileged, and a program that reads \
                         home directories --sandbox standard\n";
            }
            let words = attach::connect_arguments(attachment);
            let connect = ShellCommand::new(&["sockunit", "connect"]);
            let connect = words
                .iter()
                .fold(connect, |connect, word| connect.arg(word));
            let journal = ShellCommand::new(&["journalctl"]).literals(user);
            let remove = ShellCommand::new(&["sockunit", "remove"]).literals(user);
            next.push(("talk to it", connect));
            next.push(("its log", journal.literals(&["-t"]).arg(&name)));
            next.push(("remove it", remove.arg(&name)));
        }
        None => {
            let start = systemctl.clone().literals(&["start"]).arg(&socket);
            next.push(("start it in that system", start));
        }
    }
    if !attachment.enable {
        let enable = systemctl.literals(&["enable"]).arg(&socket);
        next.push(("it does not start at boot; to change that", enable));
    } else if place.scope == Scope::User {
        let linger = ShellCommand::new(&["loginctl", "enable-linger"]);
        next.push(("it starts when you log in; to start it at boot", linger));
    }
    text + &commands(next)
}

/// What an unchanged service does not do.
fn unchanged(place: &Place, name: &ServiceName, added: &Added) -> String {
    let systemctl = ShellCommand::new(&["systemctl"]).literals(place.scope.option());
    let mut next = Vec::new();
    if added.pending.is_unread {
        let reload = systemctl.clone().literals(&["daemon-reload"]);
        next.push((
            "its files have changed since systemd read them; to have it read them",
            reload,
        ));
    }
    if added.pending.is_inactive {
        let start = systemctl.literals(&["start"]).arg(format!("{name}.socket"));
        next.push(("its socket is not active; to start it", start));
    }
    format!("unchanged: {name} is attached with these options already\n") + &commands(next)
}

/// Commands, each on a line after what it does.
fn commands(next: Vec<(&str, ShellCommand)>) -> String {
    let mut text = String::new();
    for (what, command) in next {
        if let Ok(line) = command.line() {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{what}: {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_that_may_end_in_a_port_is_noted() {
        let note = |text: &str| text.parse::<Listen>().unwrap().note();
        assert_eq!(
            note("::1:80").unwrap(),
            "note: ::1:80 is an IPv6 address without a port; write [::1]:80 for port 80\n"
        );
        for text in [
            "::1",
            "[::1:80]",
            "[::1]:80",
            "2001:db8::1",
            "::1:ab",
            "127.0.0.1:80",
            "*:80",
            "/run/::1:80",
        ] {
            assert_eq!(note(text), None, "{text}");
        }
    }
}
