//! The results, which are rows with medians. Printed as a table, and written as JSON and as a
//! chart.

mod chart;
mod row;
mod table;

use std::path::Path;

pub(crate) use row::{Row, Shape};
pub(crate) use table::table;

use crate::args::ChartFlags;

/// Writes the files that the user asked for.
pub(crate) fn save(json: Option<&Path>, svg: Option<&Path>, rows: &[Row]) -> Result<(), String> {
    if let Some(path) = json {
        let json = serde_json::to_string_pretty(rows).map_err(|error| error.to_string())?;
        write(path, &json)?;
    }
    if let Some(path) = svg {
        write(path, &chart::draw(rows))?;
    }
    Ok(())
}

/// Draws earlier results.
pub(crate) fn redraw(flags: &ChartFlags) -> Result<(), String> {
    let mut rows: Vec<Row> = Vec::new();
    for path in &flags.json {
        let json = std::fs::read_to_string(path).map_err(|error| told(path, error))?;
        let more: Vec<Row> = serde_json::from_str(&json).map_err(|error| told(path, error))?;
        rows.extend(more);
    }
    write(&flags.svg, &chart::draw(&rows))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| told(path, error))
}

fn told(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
