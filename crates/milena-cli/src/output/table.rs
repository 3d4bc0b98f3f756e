//! A table, with a heading and rows of values.

use std::borrow::Cow;

use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

use super::visible;

/// Rows under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    /// The names of the columns, which are the keys of documents too.
    columns: Vec<&'static str>,
    /// The rows. Each has one value per column.
    rows: Vec<Vec<Value>>,
}

impl Table {
    /// Makes an empty table with these columns.
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, with one value for each column.
    pub(crate) fn row(&mut self, values: impl IntoIterator<Item = Value>) {
        self.rows.push(values.into_iter().collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the rows as objects.
    pub(crate) fn to_value(&self) -> Value {
        let object = |row: &Vec<Value>| {
            let pairs = self.columns.iter().zip(row);
            let pairs = pairs.map(|(name, value)| ((*name).to_owned(), value.clone()));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        Value::Array(self.rows.iter().map(object).collect())
    }

    /// Returns one line per row, with tabs between columns.
    pub(crate) fn plain(&self) -> String {
        let line = |row: &Vec<Value>| {
            let cells: Vec<String> = row.iter().map(|value| cell(value, "")).collect();
            cells.join("\t") + "\n"
        };
        self.rows.iter().map(line).collect()
    }

    /// Returns aligned columns under a heading. Columns of numbers are aligned to the right.
    pub(crate) fn aligned(&self) -> String {
        let heads = self
            .columns
            .iter()
            .map(|name| name.replace('_', " ").to_uppercase());
        let heads: Vec<String> = heads.collect();
        let rows = self.rows.iter();
        let rows: Vec<Vec<String>> = rows
            .map(|row| row.iter().map(|value| cell(value, "-")).collect())
            .collect();
        let width = |at: usize| {
            let cells = rows.iter().chain([&heads]).filter_map(|row| row.get(at));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let right: Vec<bool> = (0..heads.len())
            .map(|at| {
                let mut cells = self.rows.iter().filter_map(|row| row.get(at)).peekable();
                cells.peek().is_some() && cells.all(|value| value.is_number() || value.is_null())
            })
            .collect();
        let mut text = String::new();
        for row in [&heads].into_iter().chain(&rows) {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&right) {
                // A wide character takes two columns of a terminal, which `{:<width$}` does not
                // know.
                let space = " ".repeat(width - cell.width());
                match right {
                    true => line.extend([&space, cell, "  "]),
                    false => line.extend([cell, &space, "  "]),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Returns a value as the text of a cell. Control characters are escaped, because they would break
/// the table and could make two names look alike.
fn cell(value: &Value, nothing: &str) -> String {
    let text = match value {
        Value::Null => nothing.to_owned(),
        Value::String(text) if text.is_empty() => nothing.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let each: Vec<String> = values.iter().map(|value| cell(value, "")).collect();
            each.join(",")
        }
        other => other.to_string(),
    };
    match visible(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(shown) => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table() -> Table {
        let mut table = Table::new(&["topic", "lag_records"]);
        table.row([json!("orders"), json!(5)]);
        table.row([json!("a"), Value::Null]);
        table.row([json!("b\nc"), json!(1000)]);
        table
    }

    #[test]
    fn columns_are_aligned_and_numbers_stand_right() {
        let drawn =
            "TOPIC   LAG RECORDS\norders            5\na                 -\nb\\nc           1000\n";
        assert_eq!(table().aligned(), drawn);
    }

    #[test]
    fn columns_are_aligned_by_their_width_on_a_terminal() {
        let mut table = Table::new(&["group", "state"]);
        table.row([json!("注文"), json!("Stable")]);
        table.row([json!("e\u{301}té"), json!("Empty")]);
        let drawn = "GROUP  STATE\n注文   Stable\ne\u{301}té    Empty\n";
        assert_eq!(table.aligned(), drawn);
    }

    #[test]
    fn a_program_gets_tabs_and_objects() {
        assert_eq!(table().plain(), "orders\t5\na\t\nb\\nc\t1000\n");
        assert_eq!(
            table().to_value()[0],
            json!({"topic": "orders", "lag_records": 5})
        );
    }
}
