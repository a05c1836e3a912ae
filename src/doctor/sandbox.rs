//! Directives of a unit that restrict its program, and the lines of a drop-in that lift them.

use crate::systemd::{Unit, Value};

/// A directive of the `[Service]` section that may keep the program from something.
#[derive(Debug, Clone, Copy)]
pub(super) enum Restriction {
    /// A directive that is in force unless it has one of the values `off`.
    Switch {
        key: &'static str,
        /// The values with which it restricts nothing.
        off: &'static [&'static str],
        /// The lines that lift it.
        lift: &'static [&'static str],
    },
    /// A list of paths that is in force if it has one of `places`.
    Paths {
        key: &'static str,
        /// The paths; with none, every path counts.
        places: &'static [&'static str],
        /// The lines that follow the list without these paths. With no path and no line, it is not lifted.
        lift: &'static [&'static str],
    },
}

/// A restriction of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The line of the unit, with its place.
    pub line: String,
    /// The lines of a drop-in that lift it; empty if none can do it alone.
    pub lift: Vec<String>,
}

/// Values with which a boolean directive restricts nothing.
pub(super) const OFF: &[&str] = &["no", "false", "off", "0", "n", "f"];

/// A boolean directive.
pub(super) const fn switch(key: &'static str, lift: &'static [&'static str]) -> Restriction {
    Restriction::Switch {
        key,
        off: OFF,
        lift,
    }
}

/// A directive that restricts whatever its value is.
pub(super) const fn any(key: &'static str, lift: &'static [&'static str]) -> Restriction {
    Restriction::Switch {
        key,
        off: &[],
        lift,
    }
}

impl Restriction {
    /// Looks for it in a unit.
    pub(super) fn find(&self, unit: &Unit) -> Option<Found> {
        match *self {
            Restriction::Switch { key, off, lift } => {
                let value = last(unit, key)?;
                let lower = value.text.to_ascii_lowercase();
                (!off.contains(&lower.as_str())).then(|| Found {
                    line: shown(key, value),
                    lift: lift.iter().map(|line| line.to_string()).collect(),
                })
            }
            Restriction::Paths { key, places, lift } => paths(unit, key, places, lift),
        }
    }
}

/// The last assignment of a directive. An empty one counts where it means "nothing is allowed".
fn last<'a>(unit: &'a Unit, key: &str) -> Option<Value<'a>> {
    let assignments = unit.section("Service");
    let (_, value) = assignments.filter(|(other, _)| *other == key).last()?;
    (!value.text.is_empty() || key == "CapabilityBoundingSet").then_some(value)
}

fn paths(unit: &Unit, key: &'static str, places: &[&str], lift: &[&str]) -> Option<Found> {
    let values = unit.values("Service", key);
    let is_meant = |word: &str| {
        let path = word.trim_start_matches(['-', '+']).split(':').next();
        let path = path.unwrap_or_default().trim_end_matches('/');
        places.is_empty() || places.contains(&path)
    };
    let named = values
        .iter()
        .find(|value| value.text.split_whitespace().any(is_meant))?;
    let mut lines = Vec::new();
    // A path with quotes would have to be quoted again.
    let plain = values
        .iter()
        .all(|value| !value.text.contains(['"', '\'', '\\']));
    if plain && !places.is_empty() {
        let kept: Vec<&str> = values
            .iter()
            .flat_map(|value| value.text.split_whitespace())
            .filter(|word| !is_meant(word))
            .collect();
        lines.push(format!("{key}="));
        if !kept.is_empty() {
            lines.push(format!("{key}={}", kept.join(" ")));
        }
        lines.extend(lift.iter().map(|line| line.to_string()));
    }
    Some(Found {
        line: shown(key, *named),
        lift: lines,
    })
}

fn shown(key: &str, value: Value<'_>) -> String {
    let path = value.path.display();
    format!("{path}:{}: {key}={}", value.line, value.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::{Place, Scope};
    use crate::tree::Tree;

    fn unit(name: &str, lines: &str) -> (Tree, Unit) {
        let tree = Tree::new(&format!("sandbox-{name}"));
        tree.write(
            "etc/systemd/system/x.service",
            format!("[Service]\n{lines}"),
        );
        let unit = Unit::load(&Place::new(tree.root(), Scope::System), "x.service").unwrap();
        (tree, unit)
    }

    #[test]
    fn a_list_of_paths_is_repeated_without_those_that_are_lifted() {
        let tmp = Restriction::Paths {
            key: "TemporaryFileSystem",
            places: &["/tmp", "/var/tmp"],
            lift: &["PrivateTmp=yes"],
        };
        let lines = "TemporaryFileSystem=/home:ro /tmp:ro\nTemporaryFileSystem=/run/ /var/tmp/:ro,mode=1777\n";
        let (_tree, of) = unit("paths", lines);
        let found = tmp.find(&of).unwrap();
        assert!(
            found
                .line
                .ends_with("x.service:2: TemporaryFileSystem=/home:ro /tmp:ro")
        );
        let lift = [
            "TemporaryFileSystem=",
            "TemporaryFileSystem=/home:ro /run/",
            "PrivateTmp=yes",
        ];
        assert_eq!(found.lift, lift);
        for (name, lines) in [
            ("reset", "TemporaryFileSystem=/tmp\nTemporaryFileSystem=\n"),
            ("other", "TemporaryFileSystem=/tmpfs\n"),
        ] {
            let (_tree, of) = unit(name, lines);
            assert_eq!(tmp.find(&of), None, "{lines}");
        }
        let (_tree, of) = unit("quoted", "TemporaryFileSystem=\"/a b\" /tmp\n");
        assert_eq!(tmp.find(&of).unwrap().lift, [""; 0]);
    }

    #[test]
    fn a_directive_without_capabilities_restricts_and_one_that_is_off_does_not() {
        let none = any("CapabilityBoundingSet", &[]);
        let network = switch("PrivateNetwork", &["PrivateNetwork=no"]);
        let (_tree, of) = unit(
            "none",
            "CapabilityBoundingSet=\nPrivateNetwork=yes\nPrivateNetwork=No\n",
        );
        assert!(
            none.find(&of)
                .unwrap()
                .line
                .ends_with(":2: CapabilityBoundingSet=")
        );
        assert_eq!(network.find(&of), None);
        let (_tree, of) = unit("on", "PrivateNetwork=true\n");
        assert_eq!(network.find(&of).unwrap().lift, ["PrivateNetwork=no"]);
        assert_eq!(none.find(&of), None);
    }
}
