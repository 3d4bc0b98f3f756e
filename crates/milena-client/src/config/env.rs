//! Settings from the environment: `MILENA_…`.

use milena_core::Result;

use super::entry::{Entry, Origin};
use super::key::{Key, keys};
use super::nearest::nearest;
use super::value::Raw;

/// The settings among variables; `MILENA_CONFIG`, which names a file, stands apart.
///
/// # Errors
/// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for a variable that begins as a setting and is none.
pub(crate) fn entries(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(Option<String>, Vec<Entry>)> {
    let mut file = None;
    let mut entries = Vec::new();
    for (name, value) in variables {
        let ours = name.starts_with(PREFIX) && !RESERVED.iter().any(|r| name.starts_with(r));
        // Set to nothing is how a shell leaves a variable out.
        if !ours || value.is_empty() {
            continue;
        }
        if name == FILE {
            file = Some(value);
            continue;
        }
        let origin = Origin::whole(format!("the environment's {name}"));
        let Some(key) = keys().find(|key| key.variable() == name) else {
            return Err(unknown(&origin, &name));
        };
        entries.push(Entry {
            origin,
            section: key.section.name().map(str::to_owned),
            key: key.name.to_owned(),
            value: Raw::Text(value),
        });
    }
    Ok((file, entries))
}

fn unknown(origin: &Origin, name: &str) -> milena_core::Error {
    let names: Vec<_> = keys().map(Key::variable).collect();
    let hint = match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {FILE}, {}", names.join(", ")),
    };
    let what = format!("that is no setting; {hint}");
    origin.refuse(what).setting(name.to_owned())
}

const PREFIX: &str = "MILENA_";
const FILE: &str = "MILENA_CONFIG";
const RESERVED: [&str; 2] = ["MILENA_TEST_", "MILENA_REQUIRE_"];
