//! The dashboard and the alert rules name only metrics that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The type and the labels of each metric.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn words(cell: &str) -> BTreeSet<String> {
    let words = cell.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

fn table() -> Metrics {
    let text = read("crates/milena-metrics/METRICS.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = words(cells[1]).pop_first().unwrap();
        (name, (cells[2].to_owned(), words(cells[4])))
    });
    rows.collect()
}

/// Returns the metric names of an expression, without the endings of histograms.
fn names(expression: &str, metrics: &Metrics) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        if !word.starts_with("milena_") {
            continue;
        }
        let ending = ["_bucket", "_sum", "_count"]
            .into_iter()
            .find_map(|ending| word.strip_suffix(ending));
        let base = ending.filter(|base| {
            metrics
                .get(*base)
                .is_some_and(|(kind, _)| kind == "histogram")
        });
        found.insert(base.unwrap_or(word).to_owned());
    }
    found
}

/// Returns the labels that an expression groups by.
fn grouped_by(expression: &str) -> BTreeSet<String> {
    let lists = expression.split("by (").skip(1);
    let lists = lists.filter_map(|rest| rest.split(')').next());
    let labels = lists.flat_map(|list| list.split(','));
    labels.map(|label| label.trim().to_owned()).collect()
}

fn check(place: &str, expression: &str, metrics: &Metrics, wrong: &mut Vec<String>) {
    let names = names(expression, metrics);
    let mut labels: BTreeSet<String> = ["instance", "job", "le"].map(str::to_owned).into();
    for name in &names {
        match metrics.get(name) {
            Some((_, known)) => labels.extend(known.iter().cloned()),
            None => wrong.push(format!("{place}: there is no metric {name}")),
        }
    }
    for label in grouped_by(expression).difference(&labels) {
        wrong.push(format!("{place}: {names:?} has no label {label}"));
    }
}

#[test]
fn every_panel_shows_metrics_and_labels_of_the_table() {
    let metrics = table();
    assert!(metrics.len() > 30, "the table is read: {metrics:?}");
    let text = read("deploy/grafana/dashboards/milena.json");
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (mut wrong, mut shown) = (Vec::new(), 0);
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().into_iter().flatten();
        for target in targets {
            let place = panel["title"].as_str().unwrap();
            check(
                place,
                target["expr"].as_str().unwrap(),
                &metrics,
                &mut wrong,
            );
            shown += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(shown > 25, "{shown}");
}

#[test]
fn every_alert_watches_metrics_and_labels_of_the_table() {
    let metrics = table();
    let text = read("deploy/prometheus/milena.rules.yml");
    let mut wrong = Vec::new();
    let rules: Vec<&str> = text.split("- alert:").skip(1).collect();
    for rule in &rules {
        let name = rule.lines().next().unwrap().trim();
        let expression = rule.split("expr:").nth(1).unwrap();
        let expression = expression.split("labels:").next().unwrap();
        let expression = expression.split("for:").next().unwrap();
        check(name, expression, &metrics, &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(rules.len() > 10);
}
