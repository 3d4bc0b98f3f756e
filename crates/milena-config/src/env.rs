//! Settings from `MILENA_…` variables of the environment.

use crate::entry::{Entry, Origin};
use crate::key::Key;
use crate::nearest::nearest;
use crate::table::keys;
use crate::value::Raw;

/// The settings among variables.
pub(crate) struct Variables {
    /// The file that `MILENA_CONFIG` names. `None` if it is not set.
    pub(crate) file: Option<String>,
    /// The settings, in the order of the variables.
    pub(crate) entries: Vec<Entry>,
    /// The variables that begin like settings and are none.
    pub(crate) foreign: Vec<Foreign>,
}

/// A variable that begins like a setting and is none.
pub(crate) struct Foreign {
    /// The name of the variable.
    pub(crate) name: String,
    /// The variable that was probably meant. `None` if none is near.
    pub(crate) near: Option<String>,
}

/// Returns the settings among variables.
///
/// A variable that begins like a setting and is none is not an error. For example, Kubernetes sets
/// `MILENA_ORDERS_SERVICE_HOST` in each pod for a Service with the name `milena-orders`. The name
/// of a Service must not end a program.
pub(crate) fn entries(variables: impl IntoIterator<Item = (String, String)>) -> Variables {
    let mut found = Variables {
        file: None,
        entries: Vec::new(),
        foreign: Vec::new(),
    };
    for (name, value) in variables {
        let ours = name.starts_with(PREFIX) && !RESERVED.iter().any(|r| name.starts_with(r));
        // A shell leaves a variable out by setting it to an empty text.
        if !ours || value.trim().is_empty() {
            continue;
        }
        if name == FILE {
            found.file = Some(value);
            continue;
        }
        let Some(key) = keys().find(|key| key.variable() == name) else {
            let near = likely(&name);
            found.foreign.push(Foreign { name, near });
            continue;
        };
        found.entries.push(Entry {
            origin: Origin::whole(format!("the environment's {name}")),
            section: key.section.name().map(str::to_owned),
            key: key.name.to_owned(),
            value: Raw::Text(value),
        });
    }
    found
}

impl Variables {
    /// Logs the ignored variables in one warning.
    pub(crate) fn warn(&self) {
        if self.foreign.is_empty() {
            return;
        }
        let shown = |foreign: &Foreign| match &foreign.near {
            Some(near) => format!("{} (did you mean {near}?)", foreign.name),
            None => foreign.name.clone(),
        };
        let names: Vec<_> = self.foreign.iter().map(shown).collect();
        tracing::warn!(
            variables = names.join(", "),
            "variables that begin with MILENA_ but are no settings are ignored"
        );
    }
}

/// Returns the variable that was probably meant.
fn likely(name: &str) -> Option<String> {
    // Kubernetes derives these variables from a Service, so they are no misspelled settings.
    if name.contains("_SERVICE_") || name.contains("_PORT") {
        return None;
    }
    let names: Vec<_> = keys().map(Key::variable).collect();
    // All names have the same prefix. With it, each name would seem near to every other.
    let rest = |name: &'_ str| name.strip_prefix(PREFIX).map(str::to_owned);
    let rests: Vec<_> = names.iter().filter_map(|name| rest(name)).collect();
    let near = nearest(&rest(name)?, rests.iter().map(String::as_str))?;
    Some(format!("{PREFIX}{near}"))
}

const PREFIX: &str = "MILENA_";
const FILE: &str = "MILENA_CONFIG";
const RESERVED: [&str; 2] = ["MILENA_TEST_", "MILENA_REQUIRE_"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(names: &[&str]) -> Variables {
        entries(
            names
                .iter()
                .map(|name| ((*name).to_owned(), "1s".to_owned())),
        )
    }

    #[test]
    fn variables_of_others_are_passed_over_without_a_guess() {
        let names = [
            "MILENA_ORDERS_SERVICE_HOST",
            "MILENA_ORDERS_PORT",
            "MILENA_ORDERS_PORT_80_TCP_ADDR",
            "MILENA_HOME",
            "MILENA_LOG",
        ];
        let found = read(&names);
        assert!(found.entries.is_empty());
        let told: Vec<_> = found
            .foreign
            .iter()
            .map(|foreign| foreign.name.as_str())
            .collect();
        assert_eq!(told, names);
        assert!(found.foreign.iter().all(|foreign| foreign.near.is_none()));
    }

    #[test]
    fn a_slip_is_passed_over_with_the_name_that_was_meant() {
        let found = read(&["MILENA_PRODUCER_LINGR", "MILENA_PRODUCER_LINGER"]);
        assert_eq!(found.entries.len(), 1);
        let near = found
            .foreign
            .first()
            .and_then(|foreign| foreign.near.as_deref());
        assert_eq!(near, Some("MILENA_PRODUCER_LINGER"));
    }

    #[test]
    fn a_variable_that_is_set_to_nothing_counts_as_not_set() {
        let empty = |name: &str| (name.to_owned(), " ".to_owned());
        let found = entries([empty("MILENA_BOOTSTRAP"), empty("MILENA_CONFIG")]);
        assert!(found.entries.is_empty() && found.file.is_none());
    }
}
