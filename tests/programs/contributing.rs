//! What CONTRIBUTING.md says about the tree.

use std::fs;
use std::path::Path;

#[test]
fn every_path_in_the_guide_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    // Every second piece stands between backquotes.
    let quoted = text.split('`').skip(1).step_by(2);
    let is_path = |word: &&str| {
        let bare = word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        bare && !word.starts_with('-') && (word.contains('/') || word.ends_with(".md"))
    };
    let paths: Vec<&str> = quoted.filter(is_path).collect();
    assert!(paths.len() > 40, "{paths:?}");
    for path in paths {
        assert!(root.join(path).exists(), "{path}");
    }
}
