//! The commands that doctor prints.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{SOCKET, TEMPLATE, doctor, replace, tree};
use crate::tool;
use crate::tree::Tree;

#[test]
fn no_name_in_a_unit_or_path_becomes_part_of_a_command_unless_it_is_safe_to_paste() {
    let parent = Tree::new("doctor-pasted");
    let marker = parent.path("run");
    let touch = format!("$(touch {})", marker.display());
    // The root directory has blanks and what a shell acts on.
    let root = parent.path("a b';$x `y`");
    for (user, printed) in [
        (touch.as_str(), true),
        ("x'; touch run; '", true),
        ("-rf", true),
        ("a\\\\nb", false),
        ("a\u{9b}2Jb", false),
        ("a\u{202e}b", false),
    ] {
        let _ = fs::remove_dir_all(&root);
        let put = |path: &str, text: &str| {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        };
        put(
            SOCKET,
            "[Socket]\nListenStream=127.0.0.1:4000\nAccept=yes\n",
        );
        put(
            TEMPLATE,
            &format!("[Service]\nExecStart=/bin/sh\nUser={user}\nStandardInput=socket\n"),
        );
        let output = tool::on(&root, &["doctor"], &["--json", "tick"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["services"][0]["checks"].as_array().unwrap();
        let problem = checks.last().unwrap();
        assert!(
            problem["text"].as_str().unwrap().contains(user),
            "{problem:#}"
        );
        let Some(commands) = problem["commands"].as_array() else {
            assert!(!printed, "{user}: {problem:#}");
            let shown = tool::on(&root, &["doctor"], &["tick"]).stdout;
            let shown = String::from_utf8(shown).unwrap();
            assert!(shown.ends_with("(no command is printed: a name in it has characters that are not safe to paste)\n"), "{shown}");
            continue;
        };
        assert!(printed, "{user}: {problem:#}");
        // Show the arguments instead of creating the user.
        let [command] = &commands[..] else {
            panic!("{problem:#}")
        };
        let line = command
            .as_str()
            .unwrap()
            .replacen("useradd", "printf '%s\\n'", 1);
        let pasted = Command::new("sh")
            .args(["-e", "-c", &line])
            .current_dir(parent.root())
            .output()
            .unwrap();
        let words = String::from_utf8(pasted.stdout).unwrap();
        let words: Vec<&str> = words.lines().collect();
        assert_eq!(words[..2], ["--system", "--no-create-home"]);
        assert_eq!(words[2], format!("--root={}", root.display()));
        assert_eq!(words.last(), Some(&user));
        assert!(!marker.exists(), "{user} was run");
    }
}

#[test]
fn every_printed_command_fixes_the_problem() {
    let tree = tree("commands");
    replace(&tree, SOCKET, "Accept=yes\n", "ListenStream=4000\n");
    replace(
        &tree,
        TEMPLATE,
        "StandardInput=socket\nStandardError=journal\n",
        "",
    );
    replace(&tree, "etc/services", "4000", "4001");
    // systemd reads it after the drop-in that doctor would name doctor.conf.
    tree.write(
        "etc/systemd/system/tick@.service.d/local.conf",
        "[Service]\nStandardInput=socket\nStandardOutput=journal\n",
    );
    let mut rounds = 0;
    loop {
        let output = doctor(&tree, &["--json", "tick"]);
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let service = &said["services"][0];
        assert_eq!(service["name"], "tick");
        assert_eq!(said["works"], service["works"]);
        let checks = service["checks"].as_array().unwrap();
        let Some(problem) = checks.iter().find(|check| check["verdict"] == "problem") else {
            assert!(output.status.success());
            break;
        };
        let commands: Vec<&str> = problem["commands"]
            .as_array()
            .unwrap()
            .iter()
            .map(|command| command.as_str().unwrap())
            .collect();
        assert!(!commands.is_empty(), "{problem:#}");
        let done = Command::new("sh")
            .args(["-e", "-c", &commands.join("\n")])
            .status();
        assert!(done.unwrap().success(), "{commands:?}");
        rounds += 1;
        assert!(rounds < 9, "{problem:#}");
    }
    assert_eq!(rounds, 4);
}
