//! Runs one small case of each kind of comparison with milena alone, and checks that the program
//! does what its documentation says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn compare(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_milena-compare"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Returns the file for a test's results.
fn results(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs a case. Returns its rows and the printed table.
fn cell(name: &str, arguments: &[&str]) -> (Vec<Value>, String) {
    let file = results(name);
    let always = ["--rounds", "1", "--seconds", "0.2", "--json"];
    let run = compare(&[arguments, &always, &[file.to_str().unwrap()]].concat());
    assert!(run.status.success(), "{run:?}");
    let rows = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    (rows, String::from_utf8(run.stdout).unwrap())
}

/// Returns a figure's median, and checks that it lies between its ends.
fn median(row: &Value, figure: &str) -> f64 {
    let of = |end: &str| {
        row[figure][end]
            .as_f64()
            .unwrap_or_else(|| panic!("{figure}: {row}"))
    };
    assert!(
        of("min") <= of("median") && of("median") <= of("max"),
        "{row}"
    );
    of("median")
}

const MILENA: [&str; 2] = ["--clients", "milena"];

#[test]
fn producing_reports_what_it_costs() {
    for target in ["stub", "embedded"] {
        let flags = ["produce", "--target", target, "--size", "100", "--max-only"];
        let (rows, table) = cell(&format!("{target}.json"), &[&flags[..], &MILENA].concat());
        let [row] = rows.as_slice() else {
            panic!("{rows:?}");
        };
        assert!(row["error"].is_null(), "{row}");
        assert_eq!(row["client"], "milena");
        assert_eq!(row["target"], target);
        assert_eq!((&row["size"], &row["codec"]), (&100.into(), &"none".into()));
        assert_eq!(row["partitions"], 4);
        assert!(row["mode"].is_string());
        for figure in ["records_per_second", "cpu_us_per_record", "rss_mib"] {
            assert!(median(row, figure) > 0.0);
        }
        // A record's latency is not measured at the maximum load.
        assert!(
            ["p50_ms", "p99_ms", "p999_ms"]
                .iter()
                .all(|time| row[time].is_null())
        );
        assert!(table.contains("milena"), "{table}");
    }
}

#[test]
fn a_rate_is_held_and_the_time_of_records_told() {
    for client in ["milena", "milena-thread"] {
        let flags = ["produce", "--rate", "5000", "--clients", client];
        let (rows, _) = cell(&format!("rate-{client}.json"), &flags);
        let row = &rows[0];
        assert!(row["error"].is_null(), "{row}");
        assert_eq!(row["rate"], 5000);
        let (p50, p99) = (median(row, "p50_ms"), median(row, "p99_ms"));
        assert!(
            0.0 < p50 && p50 <= p99 && p99 <= median(row, "p999_ms"),
            "{row}"
        );
    }
}

#[test]
fn consuming_reports_what_it_costs_in_each_mode() {
    let (rows, _) = cell(
        "consume.json",
        &[&["consume", "--size", "100"][..], &MILENA].concat(),
    );
    let modes: Vec<_> = rows
        .iter()
        .map(|row| row["mode"].as_str().unwrap())
        .collect();
    assert_eq!(modes, ["batch", "stream", "handler"]);
    for row in &rows {
        assert!(row["error"].is_null(), "{row}");
        assert!(median(row, "records_per_second") > 0.0);
    }
}

#[test]
fn results_become_a_chart() {
    let flags = ["produce", "--size", "1024", "--max-only"];
    cell("chart.json", &[&flags[..], &MILENA].concat());
    let (json, svg) = (results("chart.json"), results("chart.svg"));
    let run = compare(&[
        "chart",
        "--svg",
        svg.to_str().unwrap(),
        json.to_str().unwrap(),
    ]);
    assert!(run.status.success(), "{run:?}");
    let chart = std::fs::read_to_string(svg).unwrap();
    assert!(
        chart.starts_with("<svg") && chart.contains("milena"),
        "{chart}"
    );
}

/// A client that is not part of the build fails like any other.
#[cfg(not(feature = "peers"))]
#[test]
fn a_client_that_fails_is_shown_as_failed() {
    let flags = [
        "produce",
        "--max-only",
        "--settings",
        "tuned",
        "--clients",
        "rskafka,milena",
    ];
    let (rows, table) = cell("failed.json", &flags);
    let error = |client: &str| {
        let row = rows.iter().find(|row| row["client"] == client).unwrap();
        row["error"].as_str().map(str::to_owned)
    };
    assert_eq!(error("milena"), None);
    let told = error("rskafka").unwrap();
    assert!(told.contains("built without"), "{told}");
    assert!(table.contains(&told), "{table}");
}
