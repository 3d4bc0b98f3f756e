//! Checks every manifest against the table of allowed dependencies between milena's crates.
//!
//! Normal and build dependencies count, for all targets, including optional ones. Development
//! dependencies are free.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use toml::{Table, Value};

use crate::sources::{crates, root};

/// Crates with the crates directly below them. Using a crate includes those below it.
///
/// A row may be here before its crate exists. Every crate must have a row.
const ARROWS: [(&str, &[&str]); 21] = [
    ("milena-core", &[]),
    ("milena-assignor", &["milena-core"]),
    ("milena-config", &["milena-core"]),
    ("milena-lanes", &["milena-core"]),
    ("milena-protocol", &["milena-core"]),
    ("milena-security", &["milena-core"]),
    ("milena-serializer", &["milena-core"]),
    ("milena-middleware", &["milena-core"]),
    ("milena-tracing", &["milena-middleware"]),
    ("milena-metrics", &["milena-core"]),
    ("milena-health", &["milena-core"]),
    ("milena-pool", &["milena-protocol"]),
    ("milena-producer", &["milena-pool"]),
    ("milena-fetch", &["milena-pool"]),
    (
        "milena-consumer",
        &["milena-fetch", "milena-lanes", "milena-assignor"],
    ),
    ("milena-admin", &["milena-pool"]),
    (
        "milena-client",
        &[
            "milena-producer",
            "milena-consumer",
            "milena-admin",
            "milena-serializer",
            "milena-middleware",
            "milena-tracing",
            "milena-metrics",
            "milena-health",
            "milena-config",
        ],
    ),
    ("milena-broker", &["milena-protocol"]),
    ("milena-test", &["milena-client", "milena-broker"]),
    ("milena", &["milena-client", "milena-test"]),
    ("milena-cli", &["milena", "milena-broker"]),
];

/// Crates that only programs with a health server or traces may have to build.
const NOT_IN_A_BARE_PRODUCER: [&str; 9] = [
    "axum",
    "hyper",
    "opentelemetry",
    "opentelemetry_sdk",
    "opentelemetry-otlp",
    "tracing-opentelemetry",
    "prometheus",
    "milena-broker",
    "milena-test",
];

#[test]
fn every_dependency_between_crates_follows_an_allowed_arrow() {
    let mut wrong = Vec::new();
    for (name, manifest) in manifests() {
        let allowed = reachable(&name);
        for used in dependencies(&manifest)
            .into_keys()
            .filter(|used| is_ours(used))
        {
            if !allowed.contains(used.as_str()) {
                wrong.push(format!("{name} may not use {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows outside the table: {wrong:#?}");
}

#[test]
fn every_crate_has_a_row_in_the_table_and_the_name_of_its_folder() {
    let rows: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    for folder in crates() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            package_name(&read(&folder)),
            name,
            "a crate is named as its folder"
        );
        assert!(
            rows.contains(name),
            "{name} has no row in the table of arrows"
        );
    }
}

#[test]
fn core_knows_no_runtime_and_no_tower() {
    let manifest = &manifests()["milena-core"];
    let used = dependencies(manifest);
    let foreign: Vec<_> = used
        .keys()
        .filter(|name| {
            ["tokio", "tower", "tracing", "axum"]
                .iter()
                .any(|word| name.starts_with(word))
        })
        .collect();
    assert!(foreign.is_empty(), "milena-core uses {foreign:?}");
}

#[test]
fn the_broker_and_the_client_crates_take_their_own_half_of_the_protocol() {
    let manifests = manifests();
    let halves = |name: &str| features_of(&manifests[name], "milena-protocol");
    assert!(
        !halves("milena-broker").contains("client"),
        "the broker knows no client code"
    );
    for name in [
        "milena-pool",
        "milena-producer",
        "milena-fetch",
        "milena-consumer",
        "milena-admin",
    ] {
        assert!(
            !halves(name).contains("broker"),
            "{name} knows no broker code"
        );
    }
}

#[test]
fn a_bare_producer_builds_neither_a_web_server_nor_telemetry_nor_a_broker() {
    for features in [
        &["--no-default-features"][..],
        &["--no-default-features", "--features", "zstd"],
        &[],
    ] {
        let tree = dependency_tree("milena", features);
        let found: Vec<_> = NOT_IN_A_BARE_PRODUCER
            .iter()
            .filter(|name| tree.contains(**name))
            .collect();
        assert!(
            found.is_empty(),
            "the facade with {features:?} builds {found:?}"
        );
        assert!(
            tree.contains("milena-producer"),
            "the facade with {features:?} has no producer: {tree:?}"
        );
    }
}

#[test]
fn the_broker_as_a_library_brings_neither_a_log_subscriber_nor_signal_handling() {
    let of_the_program = ["tracing-subscriber", "signal-hook-registry"];
    let found = |features: &[&str]| {
        let tree = dependency_tree("milena-broker", features);
        of_the_program.map(|name| tree.contains(name))
    };
    assert_eq!(found(&[]), [false, false], "{of_the_program:?}");
    // The program has both, so the names are still those of the packages.
    assert_eq!(found(&["--features", "bin"]), [true, true]);
}

/// Returns all of milena's crates that `name` may use, down to the lowest ones.
fn reachable(name: &str) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&'static str> = below(name).to_vec();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(below(next));
        }
    }
    found
}

fn below(name: &str) -> &'static [&'static str] {
    ARROWS
        .iter()
        .find(|(row, _)| *row == name)
        .map_or(&[], |(_, below)| below)
}

fn is_ours(name: &str) -> bool {
    name == "milena" || name.starts_with("milena-")
}

fn read(folder: &Path) -> Table {
    std::fs::read_to_string(folder.join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap()
}

fn package_name(manifest: &Table) -> &str {
    manifest["package"]["name"].as_str().unwrap()
}

fn manifests() -> BTreeMap<String, Table> {
    let manifests = crates().into_iter().map(|folder| read(&folder));
    manifests
        .map(|manifest| (package_name(&manifest).to_owned(), manifest))
        .collect()
}

/// Returns normal and build dependencies by their real names, including those of single targets.
fn dependencies(manifest: &Table) -> BTreeMap<String, Value> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets
        .into_iter()
        .flat_map(|targets| targets.values().filter_map(Value::as_table));
    let sections = std::iter::once(manifest).chain(targets);
    let tables = sections.flat_map(|section| {
        let kinds = ["dependencies", "build-dependencies"];
        kinds
            .into_iter()
            .filter_map(|kind| section.get(kind).and_then(Value::as_table))
    });
    tables
        .flatten()
        .map(|(name, value)| (real_name(name, value), value.clone()))
        .collect()
}

fn real_name(name: &str, value: &Value) -> String {
    value
        .get("package")
        .and_then(Value::as_str)
        .unwrap_or(name)
        .to_owned()
}

fn features_of(manifest: &Table, dependency: &str) -> BTreeSet<String> {
    let dependencies = dependencies(manifest);
    let features = dependencies
        .get(dependency)
        .and_then(|value| value.get("features"));
    let features = features.and_then(Value::as_array).into_iter().flatten();
    features
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Returns the names of all packages that are built for `package` with `features`, as cargo
/// resolves them.
fn dependency_tree(package: &str, features: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .args(["--locked", "--offline"])
        .args(features)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo tree failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}
