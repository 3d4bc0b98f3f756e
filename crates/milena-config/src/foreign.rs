//! Settings by the names of other clients. Each is kept, mapped, ignored, or refused with the
//! reason.

use milena_core::Result;

use crate::drafts::Drafts;
use crate::entry::{Entry, Origin};
use crate::foreign_names::{NAMES, Name, Rule, SECURITY};
use crate::nearest::nearest;
use crate::section::Section;
use crate::value::{Raw, defect};

/// A property of Kafka's Java client or of librdkafka, and how milena treats it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Property {
    /// The name of the property.
    pub name: String,
    /// The line that it begins on, counted from 1. `None` if it does not come from a file.
    pub line: Option<usize>,
    /// The treatment of the property.
    pub fate: Fate,
}

/// The treatment of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It has the same meaning in milena.
    Kept,
    /// It becomes these settings, such as `consumer.buffer_memory = 65536KiB`.
    Mapped(Vec<String>),
    /// It is ignored with a warning, for this reason. The program works as intended without it.
    Ignored(String),
    /// It is refused, for this reason.
    Refused(String),
}

/// Explains the treatment of each property, without applying any.
///
/// ```
/// use milena_config::{Fate, explain_properties};
///
/// let told = explain_properties([("linger.ms", "5"), ("key.serializer", "org.example.Mine")]);
/// assert_eq!(told[0].fate, Fate::Kept);
/// assert!(matches!(&told[1].fate, Fate::Ignored(why) if why.contains("codec")));
/// ```
pub fn properties<K: Into<String>, V: Into<String>>(
    properties: impl IntoIterator<Item = (K, V)>,
) -> Vec<Property> {
    let origin = Origin::whole("a property");
    let given = properties.into_iter();
    let given: Vec<_> = given
        .map(|(name, value)| (origin.clone(), name.into(), value.into()))
        .collect();
    fates(&given)
}

/// Explains the treatment of each property of a `.properties` file, with its line. The text is read
/// like the file.
///
/// A property that continues on the next line counts once. A second property with the same name is
/// refused.
///
/// # Errors
/// [`ErrorKind::Config`](milena_core::ErrorKind::Config) if the text cannot be read as properties.
///
/// ```
/// use milena_config::{Fate, explain_properties_text};
///
/// let told = explain_properties_text("linger.ms=5\nlinger.ms=50\n")?;
/// assert_eq!(told[1].line, Some(2));
/// assert!(matches!(&told[1].fate, Fate::Refused(why) if why.contains("line 1")));
/// # Ok::<_, milena_core::Error>(())
/// ```
pub fn properties_text(text: &str) -> Result<Vec<Property>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let given = crate::properties::lines(&"the text".into(), text)?;
    Ok(fates(&given))
}

fn fates(given: &[Given]) -> Vec<Property> {
    let fate = |(at, one): (usize, &Given)| Property {
        name: one.1.clone(),
        line: one.0.line,
        fate: settled(at, given).fate,
    };
    given.iter().enumerate().map(fate).collect()
}

/// The place where a property was written, its name and its value.
pub(crate) type Given = (Origin, String, String);

/// Returns the settings that properties become. Logs the ignored ones in one warning.
///
/// # Errors
/// [`ErrorKind::Config`](milena_core::ErrorKind::Config) with the first refused property and its
/// reason, and the names of the others.
pub(crate) fn entries(given: &[Given]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut refused: Vec<(&Origin, &str, String)> = Vec::new();
    let mut ignored: Vec<&str> = Vec::new();
    for (at, (origin, name, _)) in given.iter().enumerate() {
        let settled = settled(at, given);
        match settled.fate {
            Fate::Refused(why) => refused.push((origin, name, why)),
            Fate::Ignored(why) => {
                tracing::debug!(property = name, reason = why, "a property is passed over");
                ignored.push(name);
            }
            Fate::Kept | Fate::Mapped(_) => entries.extend(settled.entries),
        }
    }
    let Some(((origin, name, why), others)) = refused.split_first() else {
        if let Some((origin, ..)) = given.first().filter(|_| !ignored.is_empty()) {
            tracing::warn!(
                source = &*origin.source,
                properties = ignored.join(", "),
                "properties of other clients without an effect here are ignored; `milena config check` gives the reasons"
            );
        }
        return Ok(entries);
    };
    let others: Vec<_> = others
        .iter()
        .map(|(origin, name, _)| match origin.line {
            Some(line) => format!("{name} (line {line})"),
            None => (*name).to_owned(),
        })
        .collect();
    let others = match others.is_empty() {
        true => String::new(),
        false => format!("; refused as well: {}", others.join(", ")),
    };
    let what = format!("`{name}` is refused: {why}{others}");
    Err(origin.refuse(what).setting((*name).to_owned()))
}

struct Settled {
    /// The treatment of the property.
    fate: Fate,
    /// The settings that it becomes. Empty unless it is kept or mapped.
    entries: Vec<Entry>,
}

impl Settled {
    /// Kept, but sets nothing by itself.
    fn nothing() -> Self {
        Self {
            fate: Fate::Kept,
            entries: Vec::new(),
        }
    }

    fn ignored(why: impl Into<String>) -> Self {
        Self {
            fate: Fate::Ignored(why.into()),
            entries: Vec::new(),
        }
    }

    fn refused(why: impl Into<String>) -> Self {
        Self {
            fate: Fate::Refused(why.into()),
            entries: Vec::new(),
        }
    }
}

fn settled(at: usize, given: &[Given]) -> Settled {
    let Some((origin, name, value)) = given.get(at) else {
        return Settled::nothing();
    };
    if let (Some(_), Some(earlier)) = (origin.line, before(at, name, given)) {
        // The intended one of the two cannot be known. Java silently takes the later one.
        return Settled::refused(format!(
            "it is there a second time; the first is on {earlier}"
        ));
    }
    let Some(known) = find(name) else {
        let names = NAMES.iter().map(|known| known.name);
        return Settled::refused(match nearest(name, names) {
            Some(near) if near == name => "no client knows it".to_owned(),
            Some(near) => format!("no client knows it; did you mean `{near}`?"),
            None => "no client knows it".to_owned(),
        });
    };
    let Some(value) = plain(value) else {
        return Settled::nothing();
    };
    let of = |wanted: &str| {
        let last = given.iter().rev().find(|(_, name, _)| name == wanted);
        last.and_then(|(_, _, value)| plain(value))
            .map(str::to_owned)
    };
    let says = |values: &[&str]| values.iter().any(|one| one.eq_ignore_ascii_case(value));
    match &known.rule {
        Rule::Refused(why) => Settled::refused(*why),
        Rule::Passed(values, _) if says(values) => Settled::nothing(),
        Rule::Passed(_, why) => Settled::ignored(*why),
        Rule::Security => match of("security.protocol") {
            Some(protocol) if protocol.eq_ignore_ascii_case("PLAINTEXT") => {
                Settled::ignored("`security.protocol` is PLAINTEXT, which uses none of it")
            }
            _ => Settled::refused(SECURITY),
        },
        Rule::Only(values, _) if says(values) => Settled::nothing(),
        Rule::Only(values, why) => {
            Settled::refused(format!("{why}; only {} is taken", values.join(" or ")))
        }
        Rule::With(main, alone) => match (of(main), alone) {
            // The value is read together with the main property.
            (Some(_), _) | (None, None) => Settled::nothing(),
            (None, Some(alone)) => match find(main) {
                Some(main) => becomes(origin, main, alone, &of),
                None => Settled::refused("its partner is unknown"),
            },
        },
        Rule::Is(..) => match defect(value) {
            Some(defect) => Settled::refused(format!("its value {defect}")),
            None => becomes(origin, known, value, &of),
        },
    }
}

/// Returns the line of an earlier property with the same name.
fn before(at: usize, name: &str, given: &[Given]) -> Option<String> {
    let earlier = given.iter().take(at).find(|(_, other, _)| other == name)?;
    Some(format!("line {}", earlier.0.line?))
}

/// Removes the forms of Java's printed settings from a value. These are `null` for no value,
/// `[a, b]` for a list, and `class a.B` for a class. Returns `None` if the property sets nothing.
fn plain(value: &str) -> Option<&str> {
    let value = value.trim();
    let inner = value.strip_prefix('[').and_then(|v| v.strip_suffix(']'));
    let value = match inner {
        // An IPv6 address is in brackets too.
        Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_err() && !inner.contains('[') => {
            inner.trim()
        }
        _ => value,
    };
    let value = value.strip_prefix("class ").unwrap_or(value);
    (!value.is_empty() && value != "null").then_some(value)
}

fn becomes(
    origin: &Origin,
    known: &Name,
    value: &str,
    of: &dyn Fn(&str) -> Option<String>,
) -> Settled {
    let Rule::Is(targets, convert) = &known.rule else {
        return Settled::refused("it is no setting by itself");
    };
    let Some(converted) = convert(value, of) else {
        let shown = Raw::Text(value.to_owned()).shown();
        return Settled::refused(format!("its value cannot be `{shown}`"));
    };
    if converted.is_empty() && !value.is_empty() {
        return Settled::nothing();
    }
    let mut entries = Vec::new();
    let mut kept = true;
    for (section, target) in *targets {
        let entry = Entry {
            origin: origin.clone(),
            section: section.name().map(str::to_owned),
            key: (*target).to_owned(),
            value: Raw::Text(converted.clone()),
        };
        match entry.read(&mut Drafts::default()) {
            Ok(key) => kept &= key.kafka == known.name,
            Err(error) => return Settled::refused(error.message().to_owned()),
        }
        entries.push(entry);
    }
    if let Some(drain) = drain(known.name, value) {
        entries.push(Entry {
            origin: origin.clone(),
            section: Section::Consumer.name().map(str::to_owned),
            key: "drain_timeout".to_owned(),
            value: Raw::Text(drain),
        });
    }
    let shown = |entry: &Entry| format!("{} = {}", entry.path(), entry.value.shown());
    let fate = match kept {
        true => Fate::Kept,
        false => Fate::Mapped(entries.iter().map(shown).collect()),
    };
    Settled { fate, entries }
}

/// Returns the drain timeout for a `max.poll.interval.ms` that is not longer than the default drain
/// timeout of 30 s. It is half of the interval, because the coordinator waits no longer than the
/// interval for the member to join again.
fn drain(name: &str, value: &str) -> Option<String> {
    let interval: u64 = value.parse().ok()?;
    let short = name == "max.poll.interval.ms" && interval <= 30_000;
    short.then(|| format!("{}ms", interval / 2))
}

/// Finds a property by its exact name, or by the family that its name begins with.
fn find(name: &str) -> Option<&'static Name> {
    let exact = NAMES.iter().find(|known| known.name == name);
    exact.or_else(|| {
        let family =
            |known: &&Name| known.name.ends_with(['.', '_']) && name.starts_with(known.name);
        NAMES.iter().find(family)
    })
}
