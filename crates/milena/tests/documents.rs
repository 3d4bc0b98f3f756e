//! Checks that the files, types, commands and links in the documents exist.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const DOCUMENTS: [&str; 6] = [
    "README.md",
    "QUICKSTART.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benches/README.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn read(document: &str) -> String {
    std::fs::read_to_string(root().join(document)).unwrap()
}

/// Collects all Rust files in a directory.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns the texts in backticks on single lines, without code blocks.
fn quoted(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_file_and_name_in_the_architecture_is_in_the_code() {
    let mut files = Vec::new();
    sources(&root().join("crates"), &mut files);
    let code: String = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let words: BTreeSet<&str> = code
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let is_word = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let mut missing = Vec::new();
    for name in quoted(&read("ARCHITECTURE.md")) {
        let known = if name.ends_with(".rs") {
            files.iter().any(|file| file.ends_with(&name)) || root().join(&name).is_file()
        } else if name.starts_with("milena-") {
            root().join("crates").join(&name).is_dir()
        } else {
            name.split("::")
                .all(|part| !is_word(part) || words.contains(part))
        };
        if !known {
            missing.push(name);
        }
    }
    assert!(
        missing.is_empty(),
        "named in ARCHITECTURE.md, and not in the code: {missing:?}"
    );
}

#[test]
fn every_make_target_in_the_documents_exists() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(':').map(|(target, _)| target))
        .collect();
    for document in DOCUMENTS {
        for line in read(document).lines() {
            for (at, _) in line.match_indices("make ") {
                let before = line[..at].chars().last();
                let target: String = line[at + 5..]
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '-')
                    .collect();
                // A command is at the start of a line, in backticks, or behind a variable.
                let is_command =
                    matches!(before, None | Some('`')) || line[..at].contains("MILENA_BOOTSTRAP=");
                if is_command && !target.is_empty() {
                    assert!(
                        targets.contains(target.as_str()),
                        "`make {target}` of {document} is no target"
                    );
                }
            }
        }
    }
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    for document in DOCUMENTS {
        let text = read(document);
        let from = root().join(document);
        for (at, _) in text.match_indices("](") {
            let link: String = text[at + 2..].chars().take_while(|c| *c != ')').collect();
            if !link.starts_with("http") && !link.starts_with('#') {
                let to = from.parent().unwrap().join(link.split('#').next().unwrap());
                assert!(to.exists(), "{link} in {document} leads nowhere");
            }
        }
    }
}
