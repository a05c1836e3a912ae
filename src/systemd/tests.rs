//! Tests that load units from a tree of files.

use super::*;
use crate::tree::Tree;

const ETC: &str = "etc/systemd/system";
const LIB: &str = "usr/lib/systemd/system";

fn place(tree: &Tree) -> Place {
    Place::new(tree.root(), Scope::System)
}

fn load(tree: &Tree, name: &str) -> Unit {
    Unit::load(&place(tree), name).unwrap()
}

/// The paths of a unit's files, without the root directory.
fn sources<'a>(tree: &Tree, unit: &'a Unit) -> Vec<&'a str> {
    let paths = unit.sources.iter().map(|source| &source.path);
    paths
        .map(|path| path.strip_prefix(tree.root()).unwrap().to_str().unwrap())
        .collect()
}

#[test]
fn the_first_directory_with_a_file_counts_and_drop_ins_are_sorted_by_name() {
    let tree = Tree::new("unit-order");
    tree.write(
        &format!("{LIB}/a.socket"),
        "[Socket]\nListenStream=1\nAccept=yes\n",
    )
    .write(
        &format!("{LIB}/a.socket.d/20.conf"),
        "[Socket]\nListenStream=2\n",
    )
    .write(
        &format!("{LIB}/a.socket.d/30.conf"),
        "[Socket]\nListenStream=3\n",
    )
    .write(
        &format!("{ETC}/a.socket.d/20.conf"),
        "[Socket]\nListenStream=\nListenStream=4\n",
    )
    .write(
        &format!("{ETC}/a.socket.d/10.conf"),
        "[Socket]\nAccept=no\n",
    )
    .write(
        &format!("{ETC}/a.socket.d/40.txt"),
        "[Socket]\nListenStream=9\n",
    );
    let unit = load(&tree, "a.socket");
    assert_eq!(
        sources(&tree, &unit),
        [
            format!("{LIB}/a.socket"),
            format!("{ETC}/a.socket.d/10.conf"),
            format!("{ETC}/a.socket.d/20.conf"),
            format!("{LIB}/a.socket.d/30.conf"),
        ]
    );
    let ports: Vec<_> = unit
        .listen_directives()
        .iter()
        .filter_map(ListenDirective::port)
        .collect();
    assert_eq!(ports, [4, 3]);
    assert_eq!(unit.listen_directives()[0].value.line, 3);
    assert_eq!(unit.flag("Socket", "Accept"), Some(false));

    tree.write(&format!("{ETC}/a.socket"), "[Socket]\nListenStream=5\n");
    let unit = load(&tree, "a.socket");
    assert_eq!(
        unit.fragment().unwrap(),
        tree.path(&format!("{ETC}/a.socket"))
    );
}

#[test]
fn an_instance_has_the_drop_ins_of_its_template_its_shortened_names_and_its_type() {
    let tree = Tree::new("unit-instance");
    for dir in [
        "a-b@x.service.d",
        "a-b@.service.d",
        "a-@.service.d",
        "service.d",
    ] {
        let name = dir.split('.').next().unwrap().replace('@', "-at-");
        tree.write(&format!("{LIB}/{dir}/{name}.conf"), "[Service]\n")
            .write(&format!("{LIB}/{dir}/all.conf"), "[Service]\n");
    }
    tree.write(
        &format!("{LIB}/a-b@.service"),
        "[Service]\nExecStart=/bin/true\n",
    );
    let unit = load(&tree, "a-b@x.service");
    assert_eq!(
        (unit.name.as_str(), unit.state),
        ("a-b@x.service", State::Found)
    );
    assert_eq!(
        sources(&tree, &unit),
        [
            format!("{LIB}/a-b@.service"),
            format!("{LIB}/a-@.service.d/a--at-.conf"),
            format!("{LIB}/a-b@.service.d/a-b-at-.conf"),
            format!("{LIB}/a-b@x.service.d/a-b-at-x.conf"),
            format!("{LIB}/a-b@x.service.d/all.conf"),
            format!("{LIB}/service.d/service.conf"),
        ]
    );
}

#[test]
fn a_link_to_dev_null_or_an_empty_file_masks_a_unit() {
    let tree = Tree::new("unit-mask");
    tree.write(&format!("{LIB}/a.socket"), "[Socket]\nListenStream=1\n")
        .write(&format!("{LIB}/b.socket"), "[Socket]\nListenStream=1\n")
        .write(
            &format!("{LIB}/a.socket.d/x.conf"),
            "[Socket]\nListenStream=1\n",
        )
        .write("dev/null", "")
        .link(&format!("{ETC}/a.socket"), "/dev/null")
        .write(&format!("{ETC}/b.socket"), "");
    for name in ["a.socket", "b.socket"] {
        let unit = load(&tree, name);
        assert_eq!(unit.state, State::Masked);
        assert!(unit.listen_directives().is_empty());
        assert_eq!(
            unit.fragment().unwrap(),
            tree.path(&format!("{ETC}/{name}"))
        );
    }
    // A system that was never booted has no /dev/null.
    std::fs::remove_file(tree.path("dev/null")).unwrap();
    assert_eq!(load(&tree, "a.socket").state, State::Masked);
}

#[test]
fn an_alias_loads_its_unit_and_adds_its_own_drop_ins() {
    let tree = Tree::new("unit-alias");
    tree.write(&format!("{LIB}/a@.service"), "[Service]\nUser=a\n")
        .link(
            &format!("{ETC}/b@.service"),
            "/usr/lib/systemd/system/a@.service",
        )
        .write(&format!("{ETC}/b@.service.d/b.conf"), "[Service]\nUser=b\n")
        .write("opt/c.service", "[Service]\nUser=c\n")
        .link(&format!("{ETC}/c.service"), "/opt/c.service");
    for name in ["b@1.service", "a@1.service"] {
        let unit = load(&tree, name);
        assert_eq!(unit.name, "a@1.service");
        assert_eq!(unit.value("Service", "User").unwrap().text, "b");
    }
    // A link to a file outside of the unit directories keeps its name.
    let unit = load(&tree, "c.service");
    assert_eq!(
        (unit.name.as_str(), unit.state),
        ("c.service", State::Found)
    );
    assert_eq!(unit.value("Service", "User").unwrap().text, "c");
}

#[test]
fn symbolic_links_never_lead_out_of_the_root_directory() {
    let tree = Tree::new("unit-links");
    tree.link("etc/systemd", "/../../../conf")
        .write("conf/system/a.service", "[Service]\nUser=inside\n")
        .link(
            "conf/system/b.service",
            "../../../../../../../../../outside/b.service",
        )
        .write("outside/b.service", "[Service]\nUser=too\n")
        .link("conf/system/round.service", "round.service");
    assert_eq!(
        load(&tree, "a.service")
            .value("Service", "User")
            .unwrap()
            .text,
        "inside"
    );
    assert_eq!(
        load(&tree, "b.service")
            .value("Service", "User")
            .unwrap()
            .text,
        "too"
    );
    for name in ["round.service", "none.service"] {
        assert_eq!(load(&tree, name).state, State::Missing, "{name}");
    }
}

#[test]
fn names_come_from_all_directories_and_are_of_one_type() {
    let tree = Tree::new("unit-names");
    for file in [
        "a.socket",
        "a.service",
        "b@.socket",
        "not a name.socket",
        "a.socket.d/x",
    ] {
        tree.write(&format!("{LIB}/{file}"), "");
    }
    tree.link(&format!("{ETC}/c.socket"), "/dev/null");
    let names = Unit::names(&place(&tree), "socket").unwrap();
    assert_eq!(Vec::from_iter(names), ["a.socket", "b@.socket", "c.socket"]);
}

#[test]
fn a_unit_is_enabled_by_a_link_or_an_alias_and_static_without_install_section() {
    let tree = Tree::new("unit-enabled");
    let install = "[Socket]\nListenStream=1\n[Install]\nWantedBy=sockets.target\n";
    tree.write(&format!("{LIB}/on.socket"), install)
        .write(&format!("{LIB}/off.socket"), install)
        .write(&format!("{LIB}/none.socket"), "[Socket]\nListenStream=1\n")
        .write(
            &format!("{LIB}/other.service"),
            "[Service]\n[Install]\nAlias=one.service\n",
        )
        .link(
            &format!("{ETC}/one.service"),
            "/usr/lib/systemd/system/other.service",
        )
        .link(
            &format!("{ETC}/sockets.target.wants/on.socket"),
            "/usr/lib/systemd/system/on.socket",
        )
        .link(
            &format!("{LIB}/sockets.target.wants/none.socket"),
            "../none.socket",
        );
    for (name, is) in [
        ("on.socket", Enablement::Enabled),
        ("off.socket", Enablement::Disabled),
        ("none.socket", Enablement::Static),
        ("one.service", Enablement::Enabled),
    ] {
        assert_eq!(
            load(&tree, name)
                .enablement(&Catalogue::read(&place(&tree)).unwrap())
                .unwrap(),
            is,
            "{name}"
        );
    }
}

#[test]
fn only_tcp_and_udp_addresses_have_a_port() {
    let tree = Tree::new("unit-ports");
    let lines = "ListenStream=3333\nListenStream=0.0.0.0:3334\nListenStream=[fe80::1%eth0]:3335\n\
         ListenDatagram=3336\nListenStream=/run/3337\nListenStream=@x:3338\n\
         ListenStream=vsock:2:3339\nListenFIFO=3340\nListenNetlink=audit 1\n";
    tree.write(&format!("{ETC}/a.socket"), format!("[Socket]\n{lines}"));
    let unit = load(&tree, "a.socket");
    let directives = unit.listen_directives();
    assert_eq!(directives.len(), 9);
    let ports: Vec<_> = directives
        .iter()
        .filter_map(ListenDirective::port)
        .collect();
    assert_eq!(ports, [3333, 3334, 3335, 3336]);
    assert!(!directives[3].is_stream());
}

#[test]
fn a_syntax_problem_ends_the_reading_of_its_own_file_alone() {
    let tree = Tree::new("unit-broken");
    tree.write(&format!("{ETC}/a.service"), "[Service]\nUser=a\n")
        .write(
            &format!("{ETC}/a.service.d/x.conf"),
            "[Service]\nUser=x\n[Unit\nUser=y\n",
        )
        .write(
            &format!("{ETC}/b.service"),
            "[Service]\nUser=\u{1}\n[Unit\n",
        );
    let unit = load(&tree, "a.service");
    assert_eq!(unit.value("Service", "User").unwrap().text, "x");
    let problems: Vec<_> = unit.syntax_problems().collect();
    assert_eq!(problems.len(), 1);
    assert_ne!(problems[0].0, unit.fragment().unwrap());
    let unit = load(&tree, "b.service");
    let mut problems = unit.syntax_problems();
    let (path, problem) = problems
        .find(|(_, problem)| problem.kind.ends_reading())
        .unwrap();
    assert_eq!((path, problem.line), (unit.fragment().unwrap(), 3));
}
