//! The shell completions of the tool.

use clap::builder::PossibleValuesParser;
use clap::{Command, ValueHint};
use clap_complete::{Shell, generate};

/// Stands for the names of the attached services until the shell looks them up.
const SERVICES: &str = "@SERVICES@";
/// Prints these names.
const LIST: &str = include_str!("../completions/services.sh");

/// All completions: the file's name and its text.
pub fn completions() -> [(String, String); 3] {
    let list = format!("sh -c '{LIST}' sh");
    let own = |text: &str| text.replace("@LIST@", &list);
    let bash = generated(Shell::Bash).replace(
        SERVICES,
        "$(_sockunit_services \"${COMP_WORDS[@]:0:COMP_CWORD}\")",
    );
    let zsh = generated(Shell::Zsh)
        .replace(&format!("({SERVICES})"), "_sockunit_services")
        .replacen('\n', &own(include_str!("../completions/zsh.in")), 1);
    let fish = generated(Shell::Fish);
    [
        (
            "sockunit.bash".into(),
            bash + &own(include_str!("../completions/bash.in")),
        ),
        ("_sockunit".into(), zsh),
        (
            "sockunit.fish".into(),
            fish + &own(include_str!("../completions/fish.in")),
        ),
    ]
}

fn generated(shell: Shell) -> String {
    let mut tool = hinted(sockunit::tool::command(), shell);
    let mut script = Vec::new();
    generate(shell, &mut tool, "sockunit", &mut script);
    String::from_utf8(script).expect("the help is text")
}

/// Adds to each argument what the shell completes: a path, a service, or nothing, for a number for
/// example.
fn hinted(mut command: Command, shell: Shell) -> Command {
    command.build();
    let named = [
        "agent", "doctor", "drain", "remove", "resume", "status", "try",
    ]
    .contains(&command.get_name());
    command
        .mut_args(|arg| match arg.get_value_hint() {
            _ if named && arg.get_id() == "name" => {
                arg.value_parser(PossibleValuesParser::new([SERVICES]))
            }
            ValueHint::Unknown if arg.is_last_set() => {
                arg.value_hint(ValueHint::CommandWithArguments)
            }
            ValueHint::Unknown => arg.value_hint(ValueHint::Other),
            // The generator for bash completes file names for a hint that it does not know.
            ValueHint::Username if shell == Shell::Bash => arg.value_hint(ValueHint::Other),
            _ => arg,
        })
        .mut_subcommands(|command| hinted(command, shell))
}
