//! Holds each crate to one meaning per type name.

use std::collections::BTreeMap;

use crate::sources::{code, crates, is_tests, name, root, rust_files};

/// Crates that still have doubled names, and how many. These numbers only ever fall.
const DOUBLED: [(&str, usize); 0] = [];

#[test]
fn no_type_name_stands_twice_in_a_crate() {
    let mut twice = Vec::new();
    for folder in crates() {
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for path in rust_files(&folder.join("src")) {
            if is_tests(&path) {
                continue;
            }
            let file = path.strip_prefix(root()).unwrap().display().to_string();
            for line in code(&path) {
                if let Some(declared) = declared(&line) {
                    places.entry(declared).or_default().push(file.clone());
                }
            }
        }
        places.retain(|_, files| files.len() > 1);
        let known = DOUBLED
            .iter()
            .find(|(crate_name, _)| *crate_name == name(&folder));
        if places.len() > known.map_or(0, |(_, names)| *names) {
            let doubled = places.iter();
            twice
                .extend(doubled.map(|(declared, files)| {
                    format!("{}: {declared} in {files:?}", name(&folder))
                }));
        }
    }
    assert!(twice.is_empty(), "{} names: {twice:#?}", twice.len());
}

#[test]
fn a_declaration_is_told_by_its_line() {
    assert_eq!(
        declared("pub(crate) struct Queue<T> {").as_deref(),
        Some("Queue")
    );
    assert_eq!(declared("enum End {").as_deref(), Some("End"));
    assert_eq!(declared("type Outcome = u8;").as_deref(), Some("Outcome"));
    assert_eq!(declared("    struct Inner;"), None);
    assert_eq!(declared("structure();"), None);
}

/// The name of the type that a line at the margin declares.
fn declared(line: &str) -> Option<String> {
    let mut rest = line;
    if let Some(public) = rest.strip_prefix("pub") {
        rest = match public.strip_prefix('(') {
            Some(scope) => scope.split_once(')')?.1.strip_prefix(' ')?,
            None => public.strip_prefix(' ')?,
        };
    }
    let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
    Some(rest[..end.unwrap_or(rest.len())].to_owned())
}
