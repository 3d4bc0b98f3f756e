//! The chart, with a panel per load and a bar per client.

use crate::report::row::{Figure, Row};

/// Draws all rows as SVG.
pub(crate) fn draw(rows: &[Row]) -> String {
    let mut panels: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in rows {
        let title = title(row);
        match panels.iter_mut().find(|(known, _)| *known == title) {
            Some((_, rows)) => rows.push(row),
            None => panels.push((title, vec![row])),
        }
    }
    let mut body = String::new();
    let mut top = 10;
    for (title, rows) in &panels {
        body.push_str(&text(10, top + 14, "start", "bold", title));
        let shown = rows.first().is_some_and(|row| row.shape.rate.is_some());
        let columns: [Column; 2] = if shown {
            [
                ("p50, ms", |row| row.p50_ms, 1.0),
                ("p99, ms", |row| row.p99_ms, 1.0),
            ]
        } else {
            [
                ("million records/s", |row| row.records_per_second, 1e6),
                ("CPU µs per record", |row| row.cpu_us_per_record, 1.0),
            ]
        };
        for (at, (name, read, unit)) in columns.into_iter().enumerate() {
            let left = NAMES + at * COLUMN;
            body.push_str(&text(left, top + 32, "start", "normal", name));
            bars(&mut body, left, top + 40, rows, |row| {
                read(row).map(|figure| figure.median / unit)
            });
        }
        for (at, row) in rows.iter().enumerate() {
            body.push_str(&text(
                NAMES - 8,
                top + 52 + at * ROW,
                "end",
                "normal",
                &row.who(),
            ));
        }
        top += 60 + rows.len() * ROW;
    }
    let width = NAMES + 2 * COLUMN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{top}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

/// Draws bars from the left, scaled to the longest one.
fn bars(
    body: &mut String,
    left: usize,
    top: usize,
    rows: &[&Row],
    read: impl Fn(&Row) -> Option<f64>,
) {
    let longest = rows.iter().filter_map(|row| read(row)).fold(0.0, f64::max);
    for (at, row) in rows.iter().enumerate() {
        let top = top + at * ROW;
        let Some(value) = read(row) else {
            let why = if row.error.is_some() { "failed" } else { "–" };
            body.push_str(&text(left, top + 12, "start", "normal", why));
            continue;
        };
        let width = if longest > 0.0 {
            value / longest * BAR
        } else {
            0.0
        };
        let color = if row.shape.client == "milena" {
            "#2a7ab0"
        } else {
            "#b9c4cc"
        };
        body.push_str(&format!(
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width:.1}\" height=\"14\" fill=\"{color}\"/>\n"
        ));
        let digits = if value < 10.0 { 2 } else { 1 };
        body.push_str(&text(
            left + width as usize + 4,
            top + 12,
            "start",
            "normal",
            &format!("{value:.digits$}"),
        ));
    }
}

fn text(x: usize, y: usize, anchor: &str, weight: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" font-weight=\"{weight}\">{words}</text>\n"
    )
}

fn title(row: &Row) -> String {
    let shape = &row.shape;
    let mut title = format!("{} on {}, {} B", shape.work, shape.target, shape.size);
    title.push_str(&format!(
        ", {} partitions, codec {}",
        shape.partitions, shape.codec
    ));
    if let Some(members) = shape.members {
        title.push_str(&format!(", a group of {members}"));
    }
    if shape.keys {
        title.push_str(", keys");
    }
    if shape.rtt_ms > 0.0 {
        title.push_str(&format!(", {} ms round trip", shape.rtt_ms));
    }
    if shape.serial {
        title.push_str(", serial");
    }
    if let Some(rate) = shape.rate {
        title.push_str(&format!(", {rate} records/s offered"));
    }
    title
}

/// The title of a column, the function that reads its figure, and the divisor for its unit.
type Column = (&'static str, fn(&Row) -> Option<Figure>, f64);

const NAMES: usize = 240;
const COLUMN: usize = 320;
const BAR: f64 = 240.0;
const ROW: usize = 18;
