//! Finds the drop-ins of a unit.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use super::catalogue::list_dir;
use super::{Catalogue, ReadError, UnitName};
use crate::root::resolve;

/// The drop-ins of a unit in the order of their file names. If several files have one name, the first
/// of them counts, in this order: those of the unit, its template and its shortened names, in a
/// directory that comes before others; the same of its aliases; those for all units of its type.
pub(super) fn drop_ins(
    catalogue: &Catalogue<'_>,
    unit: &str,
    names: &BTreeSet<String>,
) -> Result<Vec<PathBuf>, ReadError> {
    let place = catalogue.place;
    let mut stems: Vec<Vec<String>> = Vec::new();
    let others = names.iter().filter(|name| *name != unit);
    for name in std::iter::once(unit).chain(others.map(String::as_str)) {
        stems.push(variants(name));
    }
    stems.extend(UnitName::parse(unit).map(|name| vec![name.kind.to_string()]));
    let mut files: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for stems in stems {
        let names: Vec<String> = stems.iter().map(|stem| format!("{stem}.d")).collect();
        for dir in catalogue.folders(&names) {
            for file in list_dir(place, &dir)? {
                if file.as_encoded_bytes().ends_with(b".conf") {
                    let path = dir.join(&file);
                    files.entry(file).or_insert(path);
                }
            }
        }
    }
    let is_dir = |path: &PathBuf| resolve(&place.root, path).is_ok_and(|path| path.is_dir());
    let mut paths: Vec<_> = files.into_values().collect();
    paths.retain(|path| !is_dir(path));
    Ok(paths)
}

/// The names whose drop-ins apply to a unit, the most specific first: its own, its template's, and
/// those shortened at each dash, such as `a-.service` for `a-b.service`.
fn variants(name: &str) -> Vec<String> {
    let mut variants = vec![name.to_string()];
    let Some(parsed) = UnitName::parse(name) else {
        return variants;
    };
    if let Some(template) = parsed.template() {
        variants.extend(self::variants(&template));
    }
    let cut = parsed.prefix.trim_end_matches('-').rfind('-');
    if let Some(dash) = cut {
        let shorter = parsed.shortened(&parsed.prefix[..=dash]);
        variants.extend(self::variants(&shorter));
    }
    variants
}
