//! Checks that everything the documents name exists: files, functions, types, commands and links.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use milena::broker::{ApiKey, Broker};
use milena::pool::{Connection, ConnectionOptions};

use crate::sources::{crates, folders, is_tests, name, root, rust_files};

const DOCUMENTS: [&str; 15] = [
    "README.md",
    "QUICKSTART.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benches/README.md",
    "docs/README.md",
    "docs/choosing.md",
    "docs/cookbook.md",
    "docs/deployment.md",
    "docs/errors.md",
    "docs/runbook.md",
    "docs/security.md",
    "docs/stability.md",
    "docs/tuning.md",
];

/// Subjects that the documentation of the broker's crate may say it does not model, each with its
/// APIs. An API that the broker does not serve belongs to one of them.
const SUBJECTS: [(&str, &[ApiKey]); 11] = [
    (
        "transactions",
        &[
            ApiKey::AddPartitionsToTxn,
            ApiKey::AddOffsetsToTxn,
            ApiKey::EndTxn,
            ApiKey::WriteTxnMarkers,
            ApiKey::TxnOffsetCommit,
            ApiKey::DescribeTransactions,
            ApiKey::ListTransactions,
        ],
    ),
    (
        "authentication",
        &[
            ApiKey::SaslHandshake,
            ApiKey::SaslAuthenticate,
            ApiKey::CreateDelegationToken,
            ApiKey::RenewDelegationToken,
            ApiKey::ExpireDelegationToken,
            ApiKey::DescribeDelegationToken,
            ApiKey::DescribeUserScramCredentials,
            ApiKey::AlterUserScramCredentials,
        ],
    ),
    (
        "access control lists",
        &[ApiKey::DescribeAcls, ApiKey::CreateAcls, ApiKey::DeleteAcls],
    ),
    (
        "quotas",
        &[ApiKey::DescribeClientQuotas, ApiKey::AlterClientQuotas],
    ),
    (
        "share groups",
        &[
            ApiKey::ShareGroupHeartbeat,
            ApiKey::ShareGroupDescribe,
            ApiKey::ShareFetch,
            ApiKey::ShareAcknowledge,
            ApiKey::DescribeShareGroupOffsets,
            ApiKey::AlterShareGroupOffsets,
            ApiKey::DeleteShareGroupOffsets,
        ],
    ),
    (
        "log directories",
        &[ApiKey::DescribeLogDirs, ApiKey::AlterReplicaLogDirs],
    ),
    (
        "reassignments of partitions",
        &[
            ApiKey::AlterPartitionReassignments,
            ApiKey::ListPartitionReassignments,
        ],
    ),
    ("the controller quorum", &[ApiKey::DescribeQuorum]),
    ("feature updates", &[ApiKey::UpdateFeatures]),
    ("descriptions of producers", &[ApiKey::DescribeProducers]),
    ("lists of config resources", &[ApiKey::ListConfigResources]),
];

fn read(document: &str) -> String {
    std::fs::read_to_string(root().join(document)).unwrap()
}

/// Returns the texts in backticks, in their order. Code blocks are left out.
fn quoted(text: &str) -> Vec<String> {
    let mut found = Vec::new();
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

/// The paths of ARCHITECTURE.md. A path begins at `crates/`, at the source folder of the crate that
/// was named last, or at the root of the repository.
#[derive(Default)]
struct Paths {
    /// The crate that was named last; `None` before the first.
    named_last: Option<String>,
}

impl Paths {
    /// Notes the crate that `name` is, or begins with.
    fn note(&mut self, name: &str) {
        let first = name.split('/').next().unwrap();
        if first.starts_with("milena-") {
            self.named_last = Some(first.to_owned());
        }
    }

    /// Finds the file or folder that `path` names; `None` where there is none.
    fn find(&self, path: &str) -> Option<PathBuf> {
        let crates = root().join("crates");
        let named_last = self.named_last.as_ref();
        let in_sources = named_last.map(|name| crates.join(name).join("src").join(path));
        let places = [Some(crates.join(path)), in_sources, Some(root().join(path))];
        places.into_iter().flatten().find(|place| place.exists())
    }
}

/// Returns true for a crate, a file or a folder.
fn is_path(name: &str) -> bool {
    let ends = ["/", ".rs", ".md", ".toml", ".yml"];
    name.starts_with("milena-") || ends.iter().any(|end| name.ends_with(*end))
}

/// Returns true where `file` defines a function of that name.
fn defines(file: &Path, function: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap();
    text.contains(&format!("fn {function}(")) || text.contains(&format!("fn {function}<"))
}

#[test]
fn every_file_function_and_type_in_the_architecture_is_in_the_code() {
    let files = rust_files(&root().join("crates"));
    let code: String = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let words: BTreeSet<&str> = code
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let is_word = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let mut paths = Paths::default();
    let mut missing = Vec::new();
    for name in quoted(&read("ARCHITECTURE.md")) {
        paths.note(&name);
        let known = match name.split_once(".rs: ") {
            Some((file, function)) => paths
                .find(&format!("{file}.rs"))
                .is_some_and(|file| defines(&file, function)),
            None if is_path(&name) => paths.find(&name).is_some(),
            None => name
                .split("::")
                .all(|part| !is_word(part) || words.contains(part)),
        };
        if !known {
            missing.push((name, paths.named_last.clone()));
        }
    }
    assert!(
        missing.is_empty(),
        "named in ARCHITECTURE.md, and not in the code (with the crate named last): {missing:#?}"
    );
}

#[test]
fn every_crate_and_every_folder_of_its_sources_has_a_line_in_the_architecture() {
    let mut paths = Paths::default();
    let names = quoted(&read("ARCHITECTURE.md"));
    let mut named = BTreeSet::new();
    for name in &names {
        paths.note(name);
        if name.ends_with('/')
            && let Some(folder) = paths.find(name)
        {
            named.insert(folder.canonicalize().unwrap());
        }
    }
    let mut missing = Vec::new();
    for folder in crates() {
        if !names.contains(&name(&folder)) {
            missing.push(folder.clone());
        }
        // A folder beside a file of the same name may hold that file's tests alone.
        let holds_code = |inner: &PathBuf| !rust_files(inner).iter().all(|file| is_tests(file));
        let inner = folders(&folder.join("src")).into_iter().filter(holds_code);
        missing.extend(inner.filter(|inner| !named.contains(&inner.canonicalize().unwrap())));
    }
    assert!(
        missing.is_empty(),
        "no line in ARCHITECTURE.md: {missing:#?}"
    );
}

#[tokio::test]
async fn the_broker_serves_all_but_what_its_documentation_says_it_does_not_model() {
    let text = read("crates/milena-broker/src/lib.rs");
    let doc: String = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .collect();
    let (_, list) = doc.split_once("It does not model ").unwrap();
    let (list, _) = list.split_once('.').unwrap();
    let list = list.replace(" and ", ", ");
    let said: BTreeSet<&str> = list.split(", ").collect();

    let broker = Broker::builder().start().await.unwrap();
    let (_, address) = broker.addresses().remove(0);
    let options = ConnectionOptions::default();
    let dialer = broker.dialer();
    let connection = Connection::open(&dialer, &address, None, &options)
        .await
        .unwrap();
    let is_served = |api: &ApiKey| connection.versions().range(*api).is_some();

    let mut wrong = Vec::new();
    for name in &said {
        if !SUBJECTS.iter().any(|(subject, _)| subject == name) {
            wrong.push(format!("`{name}` is not in SUBJECTS: add it with its APIs"));
        }
    }
    for (subject, apis) in SUBJECTS {
        for api in apis {
            match (said.contains(subject), is_served(api)) {
                (true, true) => wrong.push(format!("{api} is served: remove `{subject}`")),
                (false, false) => wrong.push(format!("{api} is not served: name `{subject}`")),
                _ => {}
            }
        }
    }
    for api in ApiKey::ALL {
        if !is_served(api) && !SUBJECTS.iter().any(|(_, apis)| apis.contains(api)) {
            wrong.push(format!("{api} is not served, and no subject has it"));
        }
    }
    assert!(
        wrong.is_empty(),
        "the broker's crate documentation: {wrong:#?}"
    );
    drop(connection);
    broker.shutdown().await;
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

/// Returns the anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            });
            kept.collect::<String>()
        })
        .collect()
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    for document in DOCUMENTS {
        let text = read(document);
        let from = root().join(document);
        for (at, _) in text.match_indices("](") {
            let link: String = text[at + 2..].chars().take_while(|c| *c != ')').collect();
            if link.starts_with("http") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link.as_str(), ""));
            let to = match path {
                "" => from.clone(),
                path => from.parent().unwrap().join(path),
            };
            assert!(to.exists(), "{link} in {document} leads nowhere");
            if !anchor.is_empty() {
                let headings = anchors(&std::fs::read_to_string(&to).unwrap());
                assert!(
                    headings.contains(anchor),
                    "{link} in {document} leads to no heading"
                );
            }
        }
    }
}
