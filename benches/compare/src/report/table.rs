//! The table that is printed, with one load, all clients, and ratios to milena.

use crate::report::row::{Figure, Row};

/// Formats `rows`, which share a load.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = rows.first().map(title).unwrap_or_default();
    text.push_str(&format!(
        "{:<32}{:>24}{:>9}{:>22}{:>9}{:>9}{:>9}{:>9}{:>10}{:>8}{:>12}\n",
        "client",
        "records/s (min-max)",
        "MB/s",
        "CPU us/rec (min-max)",
        "RSS MiB",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "req/s",
        "bytes x",
        "milena is",
    ));
    for row in rows {
        let alike =
            |other: &&Row| other.shape.client == "milena" && other.shape.mode == row.shape.mode;
        text.push_str(&line(row, rows.iter().find(alike)));
    }
    for row in rows.iter().filter(|row| !row.set.is_empty()) {
        text.push_str(&format!("  {}: {}\n", row.who(), row.set));
    }
    text.push('\n');
    text
}

fn title(row: &Row) -> String {
    let shape = &row.shape;
    let mut text = format!(
        "\n{} on {}: {} B, {} partitions, codec {}",
        shape.work, shape.target, shape.size, shape.partitions, shape.codec
    );
    text.push_str(match (shape.work.as_str(), shape.keys) {
        ("consume", _) => "",
        (_, true) => ", with keys",
        (_, false) => ", without keys",
    });
    if let Some(members) = shape.members {
        text.push_str(&format!(", a group of {members}"));
    }
    if shape.rtt_ms > 0.0 {
        text.push_str(&format!(", {} ms to each answer", shape.rtt_ms));
    }
    if shape.serial {
        text.push_str(", one request at a time per connection");
    }
    if let Some(bytes) = shape.batch_size {
        text.push_str(&format!(", batches of {bytes} B"));
    }
    match shape.rate {
        Some(rate) => text.push_str(&format!(", {rate} records/s offered\n")),
        None => text.push_str(", as fast as possible\n"),
    }
    text
}

fn line(row: &Row, milena: Option<&Row>) -> String {
    let median = |figure: &Option<Figure>, digits: usize| {
        figure.map_or_else(
            || "-".to_owned(),
            |figure| format!("{:.digits$}", figure.median),
        )
    };
    let spread = |figure: &Option<Figure>, digits: usize, unit: f64| {
        figure.map_or_else(
            || "-".to_owned(),
            |Figure { median, min, max }| {
                format!(
                    "{:.digits$} ({:.digits$}-{:.digits$})",
                    median / unit,
                    min / unit,
                    max / unit
                )
            },
        )
    };
    let mut text = format!(
        "{:<32}{:>24}{:>9}{:>22}{:>9}{:>9}{:>9}{:>9}{:>10}{:>8}{:>12}",
        row.who(),
        spread(&row.records_per_second, 3, 1e6) + " M",
        median(&row.mb_per_second, 0),
        spread(&row.cpu_us_per_record, 3, 1.0),
        median(&row.rss_mib, 0),
        median(&row.p50_ms, 3),
        median(&row.p99_ms, 3),
        median(&row.p999_ms, 3),
        median(&row.requests_per_second, 0),
        median(&row.read_amplification, 3),
        milena.map(|milena| ratio(milena, row)).unwrap_or_default(),
    );
    if let Some(error) = &row.error {
        text.push_str(&format!("  FAILED: {error}"));
    }
    text.push('\n');
    text
}

/// Formats how many times faster milena is. At a fixed rate, formats its share of the peer's
/// processor time.
fn ratio(milena: &Row, peer: &Row) -> String {
    let (mine, theirs) = match milena.shape.rate {
        None => (milena.records_per_second, peer.records_per_second),
        Some(_) => (milena.cpu_us_per_record, peer.cpu_us_per_record),
    };
    let word = if milena.shape.rate.is_some() {
        " cpu"
    } else {
        ""
    };
    match (mine, theirs) {
        (Some(mine), Some(theirs)) if theirs.median > 0.0 => {
            format!("{:.2} x{word}", mine.median / theirs.median)
        }
        _ => String::new(),
    }
}
