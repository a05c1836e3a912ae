//! What CONTRIBUTING.md says about the tree.

use std::fs;
use std::path::Path;

/// The text between backquotes, with the text that stands before each.
fn quoted(text: &str) -> Vec<(&str, &str)> {
    let pieces: Vec<&str> = text.split('`').collect();
    let pairs = pieces.chunks_exact(2);
    pairs.map(|pair| (pair[0], pair[1])).collect()
}

#[test]
fn every_path_in_the_guide_exists_and_contains_the_item_that_it_is_named_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let is_path = |word: &str| {
        let bare = word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        bare && !word.starts_with('-') && (word.contains('/') || word.ends_with(".md"))
    };
    let (mut paths, mut items) = (0, 0);
    let mut last = "";
    for (before, word) in quoted(&text) {
        if is_path(word) {
            let path = root.join(word);
            assert!(path.exists(), "{word}");
            paths += 1;
            // `ITEM` in `PATH`, `ITEM` of `PATH`.
            if ["in", "of"].contains(&before.trim()) {
                let source = fs::read_to_string(path).unwrap();
                assert!(source.contains(last), "{word} has no {last}");
                items += 1;
            }
        }
        last = word;
    }
    assert!(paths > 50 && items > 8, "{paths} paths, {items} items");
}
