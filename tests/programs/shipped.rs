//! Every file that lists the services of the package lists those of `sockunit::SHIPPED`.

use std::fs;
use std::path::Path;

use sockunit::SHIPPED;

/// The files, and what each has to contain for a service NAME.
const PLACES: [(&str, &[&str]); 12] = [
    (
        "Cargo.toml",
        &["name = \"NAME\"\npath = \"src/bin/NAME.rs\""],
    ),
    ("src/lib.rs", &["pub mod NAME;"]),
    ("packaging/sockunit-sweep", &["    sweep NAME\n"]),
    ("packaging/sockunit-generator", &["    lift NAME.socket\n"]),
    ("packaging/completions/services.sh", &["NAME\\n"]),
    ("packaging/docs.d/pages.rs", &["sockunit::NAME::command()"]),
    ("debian/rules", &["--bin NAME ", "NAME"]),
    (
        "debian/sockunit.install",
        &[
            "usr/libexec/sockunit/NAME\n",
            "/NAME.socket\n",
            "/NAME.service\n",
            "/NAME@.service\n",
        ],
    ),
    (
        "debian/sockunit.lintian-overrides",
        &["[usr/libexec/sockunit/NAME]"],
    ),
    (
        "debian/sockunit.postinst",
        &["sockunit services \"$1\" NAME "],
    ),
    (
        "debian/sockunit.prerm",
        &[
            "NAME.socket",
            "'NAME@*.service'",
            "sockunit services remove NAME ",
        ],
    ),
    ("debian/sockunit.templates", &["\"NAME "]),
];

#[test]
fn every_list_of_services_has_the_shipped_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in SHIPPED {
        for (file, texts) in PLACES {
            let content = fs::read_to_string(root.join(file)).unwrap();
            for text in texts {
                let text = text.replace("NAME", name);
                assert!(content.contains(&text), "{file} lacks {text:?}");
            }
        }
        for file in [
            format!("src/bin/{name}.rs"),
            format!("systemd/{name}.socket"),
            format!("systemd/{name}@.service"),
            format!("systemd/{name}.service"),
            format!("packaging/man/sockunit-{name}.8.in"),
        ] {
            assert!(root.join(&file).exists(), "{file} does not exist");
        }
    }
}
