//! Holds the largest import loop inside each crate to three files.
//!
//! An arrow goes from a file to the file whose items it imports by `use`. Re-exports are none: they
//! only give a name another path.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::sources::{code, crates, is_tests, name, rust_files};

/// The most files that may import each other in a loop.
const MOST: usize = 3;
/// Crates whose largest loop is still above [`MOST`]. These numbers only ever fall.
const LARGER: [(&str, usize); 0] = [];

#[test]
fn no_import_loop_is_larger_than_three_files() {
    let mut wrong = Vec::new();
    for folder in crates() {
        let imports = Imports::of(&folder.join("src"));
        for knot in imports.knots() {
            if std::env::var_os("MILENA_HOUSE_LIST").is_some() {
                println!("{}: {} files {knot:?}", name(&folder), knot.len());
            }
            let larger = LARGER
                .iter()
                .find(|(crate_name, _)| *crate_name == name(&folder));
            if knot.len() > larger.map_or(MOST, |(_, files)| *files) {
                wrong.push(format!("{}: {} files {knot:?}", name(&folder), knot.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} loops: {wrong:#?}", wrong.len());
}

#[test]
fn imports_are_read_with_their_braces() {
    let paths = |text: &str| {
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        imported(&lines)
    };
    assert_eq!(
        paths("use crate::{a::B, c::{D, e::F as G}};"),
        ["crate::a::B", "crate::c::D", "crate::c::e::F"]
    );
    assert_eq!(
        paths("use super::{\n    A,\n    b::C,\n};"),
        ["super::A", "super::b::C"]
    );
    assert_eq!(paths("pub(crate) use a::B;\npub use c::D;"), [""; 0]);
}

#[test]
fn a_loop_is_found_and_a_chain_is_none() {
    let imports = Imports(BTreeMap::from([
        ("a".to_owned(), BTreeSet::from(["b".to_owned()])),
        ("b".to_owned(), BTreeSet::from(["c".to_owned()])),
        (
            "c".to_owned(),
            BTreeSet::from(["b".to_owned(), "d".to_owned()]),
        ),
        ("d".to_owned(), BTreeSet::new()),
    ]));
    assert_eq!(imports.knots(), [["b", "c"]]);
}

/// Which modules of a crate import which. A module is named by its path; the root is `crate`.
struct Imports(BTreeMap<String, BTreeSet<String>>);

impl Imports {
    fn of(src: &Path) -> Self {
        let files: BTreeMap<String, PathBuf> = rust_files(src)
            .into_iter()
            .filter(|path| !is_tests(path.strip_prefix(src).unwrap()))
            .map(|path| (module(src, &path), path))
            .collect();
        let mut imports = BTreeMap::new();
        for (module, path) in &files {
            let mut used = BTreeSet::new();
            for path in imported(&code(path)) {
                if let Some(target) = resolve(module, &path, &files)
                    && target != *module
                {
                    used.insert(target);
                }
            }
            imports.insert(module.clone(), used);
        }
        Self(imports)
    }

    /// The loops of two files and more, the largest first.
    fn knots(&self) -> Vec<Vec<&str>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> = self
            .0
            .keys()
            .map(|from| (from.as_str(), self.reachable(from)))
            .collect();
        let mut knots: BTreeSet<Vec<&str>> = BTreeSet::new();
        for (from, reached) in &reach {
            let knot: Vec<&str> = reached
                .iter()
                .copied()
                .filter(|to| reach[to].contains(from))
                .collect();
            if knot.len() > 1 {
                knots.insert(knot);
            }
        }
        let mut knots: Vec<_> = knots.into_iter().collect();
        knots.sort_by_key(|knot| std::cmp::Reverse(knot.len()));
        knots
    }

    fn reachable(&self, from: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> = self.0[from].iter().map(String::as_str).collect();
        while let Some(next) = open.pop() {
            if found.insert(next) {
                open.extend(self.0[next].iter().map(String::as_str));
            }
        }
        found
    }
}

/// The path of the module that a file holds.
fn module(src: &Path, path: &Path) -> String {
    let inner = path.strip_prefix(src).unwrap().with_extension("");
    let mut parts = vec!["crate".to_owned()];
    parts.extend(inner.iter().map(|part| part.to_str().unwrap().to_owned()));
    if parts.len() == 2 && ["lib", "main"].contains(&parts[1].as_str()) {
        parts.pop();
    }
    if parts.len() > 2 && parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts.join("::")
}

/// The module of a crate that a path of `module` leads to; `None` for other crates.
fn resolve(module: &str, path: &str, files: &BTreeMap<String, PathBuf>) -> Option<String> {
    let mut parts: Vec<&str> = path.split("::").collect();
    let mut base: Vec<&str> = module.split("::").collect();
    match parts[0] {
        "crate" => base = vec!["crate"],
        "self" => {}
        "super" => {
            while parts.first() == Some(&"super") {
                base.pop();
                parts.remove(0);
            }
            parts.insert(0, "super");
        }
        // A path without a prefix: a child module, or another crate.
        first => {
            let child = format!("{module}::{first}");
            if !files.contains_key(&child) {
                return None;
            }
            parts.insert(0, "self");
        }
    }
    parts.remove(0);
    // The longest prefix that is a file holds the item.
    let mut found = base.join("::");
    let mut at = found.clone();
    for part in parts {
        at = format!("{at}::{part}");
        if files.contains_key(&at) {
            found.clone_from(&at);
        }
    }
    files.contains_key(&found).then_some(found)
}

/// The paths that `use` lines import, each whole; re-exports are left out.
fn imported(lines: &[String]) -> Vec<String> {
    let mut paths = Vec::new();
    let mut open: Option<String> = None;
    for line in lines {
        let line = line.trim();
        if open.is_none()
            && let Some(rest) = line.strip_prefix("use ")
        {
            open = Some(String::new());
            open.as_mut().unwrap().push_str(rest);
        } else if let Some(open) = &mut open {
            open.push_str(line);
        }
        if open.as_ref().is_some_and(|open| open.ends_with(';')) {
            let tree = open.take().unwrap();
            unfold("", tree.trim_end_matches(';'), &mut paths);
        }
    }
    paths
}

/// Adds the paths of one tree of imports behind `prefix`.
fn unfold(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let mut depth = 0;
    let mut part = String::new();
    let mut parts = Vec::new();
    for character in tree.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(character);
    }
    parts.push(part);
    for part in parts {
        let part = part.trim();
        if let Some((path, inner)) = part.split_once('{') {
            let inner = inner.strip_suffix('}').unwrap_or(inner);
            unfold(&format!("{prefix}{path}"), inner, paths);
        } else if !part.is_empty() {
            let path = part.split(" as ").next().unwrap_or(part);
            paths.push(format!("{prefix}{path}"));
        }
    }
}
