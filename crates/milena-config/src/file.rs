//! Configuration files, read by their extension.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use milena_core::{Error, ErrorKind, Result};

use crate::entry::{Entry, Origin};
use crate::properties;

/// Reads the settings of a file.
///
/// # Errors
/// [`ErrorKind::Config`] naming the file, and the line of a wrong setting.
pub(crate) fn read(path: &Path) -> Result<Content> {
    let source: Arc<str> = path.display().to_string().into();
    let unreadable = |cause: std::io::Error| {
        let what = format!("the configuration file {source} cannot be read");
        Error::new(ErrorKind::Config, what).with_source(cause)
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_SIZE + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_SIZE {
        let what = format!("larger than {MAX_SIZE} bytes, the limit for configuration files");
        return Err(Origin::whole(source).refuse(what));
    }
    // Some editors write a byte order mark before the first key, where it cannot be seen.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let ending = path.extension().and_then(|ending| ending.to_str());
    parse(ending.unwrap_or_default(), &source, text)
}

/// The content of a configuration file.
pub(crate) enum Content {
    /// Settings by milena's names.
    Settings(Vec<Entry>),
    /// Properties by the names of other clients.
    Properties(Vec<(Origin, String, String)>),
}

fn parse(ending: &str, source: &Arc<str>, text: &str) -> Result<Content> {
    match ending.to_ascii_lowercase().as_str() {
        "yaml" | "yml" => yaml(source, text).map(Content::Settings),
        "toml" => toml(source, text).map(Content::Settings),
        "properties" => properties::lines(source, text).map(Content::Properties),
        other => {
            let what = format!(
                "the extension `{other}` is not supported; use .yaml, .yml, .toml or .properties"
            );
            Err(Origin::whole(Arc::clone(source)).refuse(what))
        }
    }
}

#[cfg(feature = "yaml")]
fn yaml(source: &Arc<str>, text: &str) -> Result<Vec<Entry>> {
    crate::yaml::entries(source, text)
}

#[cfg(not(feature = "yaml"))]
fn yaml(source: &Arc<str>, _: &str) -> Result<Vec<Entry>> {
    Err(left_out(source, "yaml"))
}

#[cfg(feature = "toml")]
fn toml(source: &Arc<str>, text: &str) -> Result<Vec<Entry>> {
    crate::toml::entries(source, text)
}

#[cfg(not(feature = "toml"))]
fn toml(source: &Arc<str>, _: &str) -> Result<Vec<Entry>> {
    Err(left_out(source, "toml"))
}

#[cfg(not(all(feature = "toml", feature = "yaml")))]
fn left_out(source: &Arc<str>, feature: &str) -> Error {
    let what = format!("this build cannot read this format; turn on the feature `{feature}`");
    Origin::whole(Arc::clone(source)).refuse(what)
}

/// One mebibyte. A path to a wrong file is noticed before its content fills the memory.
const MAX_SIZE: u64 = 1 << 20;
