//! The source files of the workspace, and their lines with tests cut away.

use std::path::{Path, PathBuf};

/// The folder that holds the whole project.
pub(crate) fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    crates.parent().unwrap().to_owned()
}

/// The folders of all crates under `crates/`, in the order of their names.
pub(crate) fn crates() -> Vec<PathBuf> {
    let mut found = folders(&root().join("crates"));
    found.retain(|folder| folder.join("Cargo.toml").is_file());
    found
}

/// The folders right below a folder, in the order of their names.
pub(crate) fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

/// The name of a crate's folder.
pub(crate) fn name(folder: &Path) -> String {
    folder.file_name().unwrap().to_str().unwrap().to_owned()
}

/// All Rust files below `folder`, in the order of their paths; build folders are left out.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The lines of a file of `src/`, without the test module at its end.
pub(crate) fn code(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = Vec::new();
    let mut all = text.lines().peekable();
    while let Some(line) = all.next() {
        let tests = line == "#[cfg(test)]"
            && all
                .peek()
                .is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        if tests {
            break;
        }
        lines.push(line.to_owned());
    }
    lines
}

/// Returns true if a file of `src/` holds nothing but tests.
pub(crate) fn is_tests(path: &Path) -> bool {
    path.components().any(|part| {
        let part = part.as_os_str().to_str().unwrap();
        part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs")
    })
}
