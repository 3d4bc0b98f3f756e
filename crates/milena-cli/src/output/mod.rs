//! Results on standard output, as aligned tables, plain lines, JSON or YAML.

mod pipe;
mod table;
mod visible;
mod yaml;

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde_json::Value;

use crate::failure::Failure;
pub(crate) use pipe::Pipe;
pub(crate) use table::Table;
pub(crate) use visible::{is_hidden, visible};

/// The form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns under a heading.
    Table,
    /// One line per row, with tabs between columns and no heading.
    Plain,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

impl Format {
    /// Returns the form that was asked for, else a table on a terminal and plain lines otherwise.
    pub(crate) fn chosen(asked: Option<Self>) -> Self {
        asked.unwrap_or_else(|| match io::stdout().is_terminal() {
            true => Self::Table,
            false => Self::Plain,
        })
    }
}

/// Writes a table, or its rows as a document.
pub(crate) fn show(format: Format, table: &Table) -> Result<(), Failure> {
    show_with(format, std::slice::from_ref(table), || table.to_value())
}

/// Writes tables one below the other, or `value` as a document.
pub(crate) fn show_with(
    format: Format,
    tables: &[Table],
    value: impl FnOnce() -> Value,
) -> Result<(), Failure> {
    let text = match format {
        Format::Json => serde_json::to_string_pretty(&value())
            .map(|text| text + "\n")
            .map_err(|error| Failure::failed(error.to_string()))?,
        Format::Yaml => yaml::document(&value()),
        Format::Plain => tables.iter().map(Table::plain).collect(),
        Format::Table => {
            let drawn: Vec<String> = tables.iter().map(Table::aligned).collect();
            drawn.join("\n")
        }
    };
    write(text.as_bytes())
}

/// Writes a line.
pub(crate) fn say(line: &str) -> Result<(), Failure> {
    write(format!("{line}\n").as_bytes())
}

/// Writes all bytes at once.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(())
}
