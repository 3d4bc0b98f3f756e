//! `milena config`, which checks settings before a program uses them.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use milena::Client;
use milena::config::{Fate, explain_properties_text, keys};
use serde_json::json;

use crate::args::Global;
use crate::failure::Failure;
use crate::output::{self, Format, Table};

/// The action on settings.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Reads configuration files (YAML, TOML, or properties of Kafka's Java clients and librdkafka)
    /// and shows their errors.
    Check {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Lists all settings with their variables, allowed values and defaults.
    Keys,
}

/// Runs the command. It needs no cluster.
pub(crate) fn run(verb: ConfigVerb, global: &Global) -> Result<(), Failure> {
    let format = Format::chosen(global.output);
    match verb {
        ConfigVerb::Keys => {
            let mut table = Table::new(&[
                "setting", "kafka", "variable", "allowed", "default", "about",
            ]);
            for key in keys() {
                table.row([
                    json!(key.path()),
                    json!(key.kafka),
                    json!(key.variable()),
                    json!(key.allowed),
                    json!(key.default),
                    json!(key.about),
                ]);
            }
            output::show(format, &table)
        }
        ConfigVerb::Check { files } => {
            let mut table = Table::new(&["file", "line", "setting", "result"]);
            let mut last = None;
            for file in &files {
                if let Err(failure) = check(file, &mut table) {
                    let earlier: Option<Failure> = last.replace(failure);
                    if let Some(failure) = earlier {
                        crate::complain(&failure);
                    }
                }
            }
            output::show(format, &table)?;
            last.map_or(Ok(()), Err)
        }
    }
}

/// Checks one file, and adds its rows.
fn check(file: &Path, table: &mut Table) -> Result<(), Failure> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| Failure::input(&name, &error))?;
    if file
        .extension()
        .is_some_and(|ending| ending == "properties")
    {
        for property in explain_properties_text(&text)? {
            let result = match property.fate {
                Fate::Kept => "kept".to_owned(),
                Fate::Mapped(settings) => settings.join(", "),
                Fate::Ignored(why) => format!("passed over: {why}"),
                Fate::Refused(why) => format!("refused: {why}"),
                _ => String::new(),
            };
            table.row([
                json!(name),
                json!(property.line),
                json!(property.name),
                json!(result),
            ]);
        }
    }
    // The settings are only read. No connection is made.
    let _ = Client::builder().file(file)?;
    table.row([json!(name), json!(null), json!(""), json!("ok")]);
    Ok(())
}
