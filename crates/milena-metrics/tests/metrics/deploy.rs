//! Rules, dashboard and runbook, checked against the metrics that exist.

use std::collections::{BTreeMap, BTreeSet};

use milena_core::ErrorCode;

const RULES: &str = include_str!("../../../../deploy/prometheus/milena.rules.yml");
const RULES_TEST: &str = include_str!("../../../../deploy/prometheus/milena.rules.test.yml");
const DASHBOARD: &str = include_str!("../../../../deploy/grafana/dashboards/milena.json");
const RUNBOOK: &str = include_str!("../../../../docs/runbook.md");

/// Returns the labels of each metric.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let rows = include_str!("../../METRICS.md").lines().skip(2);
    let rows = rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let labels = cells[4].split(", ").map(|label| label.trim_matches('`'));
        let name = cells[1].trim_matches('`').to_owned();
        (name, labels.map(str::to_owned).collect())
    });
    rows.collect()
}

/// Returns every word that begins with `milena_`.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("milena_")).collect()
}

#[test]
fn rules_and_dashboard_name_metrics_that_there_are() {
    let known = documented();
    for (file, text) in [
        ("rules", RULES),
        ("their test", RULES_TEST),
        ("dashboard", DASHBOARD),
    ] {
        for name in names(text) {
            let plain = ["_bucket", "_sum", "_count"];
            let plain = plain.iter().find_map(|end| name.strip_suffix(end));
            let is_known =
                known.contains_key(name) || plain.is_some_and(|plain| known.contains_key(plain));
            assert!(is_known, "{file}: {name}");
        }
    }
}

#[test]
fn the_series_of_the_rules_test_have_the_labels_and_kinds_that_the_program_gives() {
    let known = documented();
    for line in RULES_TEST.lines() {
        let Some(series) = line.trim().strip_prefix("- series: 'milena_") else {
            continue;
        };
        let (name, labels) = series.split_once('{').unwrap();
        let labels = labels.split_once('}').unwrap().0;
        let of = &known[&format!("milena_{name}")];
        for label in labels.split(", ") {
            let (label, value) = label.split_once('=').unwrap();
            let value = value.trim_matches('"');
            let is_known = of.contains(label) || ["instance", "job"].contains(&label);
            assert!(is_known, "{line}: {label}");
            if label == "kind" {
                let code = (-1..200).filter_map(ErrorCode::from_wire);
                let is_code = code.filter_map(ErrorCode::name).any(|name| name == value);
                let own = ["transport", "timeout", "decode", "security"];
                assert!(is_code || own.contains(&value), "{line}: {value}");
            }
        }
    }
}

#[test]
fn every_alert_has_an_entry_in_the_runbook_and_every_entry_an_alert() {
    let alerts: BTreeSet<_> = RULES
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let links = RULES.lines().filter_map(|line| {
        let link = line.trim().strip_prefix("runbook: docs/runbook.md#")?;
        Some(link.to_owned())
    });
    let mut wanted: Vec<_> = alerts.iter().map(|alert| alert.to_lowercase()).collect();
    wanted.sort();
    let mut links: Vec<_> = links.collect();
    links.sort();
    assert_eq!(links, wanted);
    let (alerts_page, checks_page) = RUNBOOK.split_once("## Checks").unwrap();
    let heads = |page: &'static str| {
        let heads = page.lines().filter_map(|line| line.strip_prefix("### "));
        heads.collect::<BTreeSet<_>>()
    };
    assert_eq!(heads(alerts_page), alerts);
    let table = include_str!("../../../milena-health/src/lib.rs").lines();
    let checks = table.filter_map(|line| line.strip_prefix("//! | `")?.split('`').next());
    let checks: BTreeSet<_> = checks.filter(|name| !name.contains('/')).collect();
    assert_eq!(heads(checks_page), checks);
}
