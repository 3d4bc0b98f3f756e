//! Settings by the names of other clients: each kept, mapped, or refused with the reason.

use milena_core::Result;

use super::entry::{Entry, Origin};
use super::foreign_names::{NAMES, Name, Rule, SECURITY};
use super::key::Section;
use super::nearest::nearest;
use super::value::{Raw, defect};

/// What becomes of a property of Kafka's Java client or of librdkafka.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Property {
    /// Its name.
    pub name: String,
    /// The line that it begins on, counted from 1; `None` where it is of no file.
    pub line: Option<usize>,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It means the same here.
    Kept,
    /// It becomes these settings, as `consumer.buffer_memory = 65536KiB`.
    Mapped(Vec<String>),
    /// It is passed over with a warning, for this reason: the program does what it should without it.
    Ignored(String),
    /// It cannot be taken, for this reason.
    Refused(String),
}

/// Says of each property what becomes of it, without doing anything.
///
/// ```
/// use milena_client::config::{Fate, explain_properties};
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

/// Says of each property of a `.properties` file what becomes of it, with its line, as the file is read: lines that
/// go on in the next count once, and a name that is there again is refused.
///
/// # Errors
/// [`ErrorKind::Config`](milena_core::ErrorKind::Config) where the text cannot be cut into properties.
///
/// ```
/// use milena_client::config::{Fate, explain_properties_text};
///
/// let told = explain_properties_text("linger.ms=5\nlinger.ms=50\n")?;
/// assert_eq!(told[1].line, Some(2));
/// assert!(matches!(&told[1].fate, Fate::Refused(why) if why.contains("line 1")));
/// # Ok::<_, milena_client::core::Error>(())
/// ```
pub fn properties_text(text: &str) -> Result<Vec<Property>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let given = super::properties::lines(&"the text".into(), text)?;
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

/// Where a property was written, its name and its value.
pub(crate) type Given = (Origin, String, String);

/// The settings that properties become. Those that are passed over are told in one warning.
///
/// # Errors
/// [`ErrorKind::Config`](milena_core::ErrorKind::Config) with the first that is refused and the reason, and the names of the others.
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
                "properties of other clients that say nothing here are passed over; `milena config check` gives the reasons"
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
    fate: Fate,
    entries: Vec<Entry>,
}

impl Settled {
    /// Kept, and says nothing by itself.
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
        // Which of the two was meant is not ours to guess; Java takes the later one in silence.
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
            // Read together with the other one.
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

/// The line of the same name before that one.
fn before(at: usize, name: &str, given: &[Given]) -> Option<String> {
    let earlier = given.iter().take(at).find(|(_, other, _)| other == name)?;
    Some(format!("line {}", earlier.0.line?))
}

/// A value without what Java's dumps of its own settings put around it: `null` for none, `[a, b]` for a list,
/// `class a.B` for a class. `None` where it says nothing.
fn plain(value: &str) -> Option<&str> {
    let value = value.trim();
    let inner = value.strip_prefix('[').and_then(|v| v.strip_suffix(']'));
    let value = match inner {
        // An address of IPv6 stands in brackets too.
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
        match entry.read() {
            Ok((key, _)) => kept &= key.kafka == known.name,
            Err(error) => return Settled::refused(error.message().to_owned()),
        }
        entries.push(entry);
    }
    if let Some(drain) = drain(known.name, value) {
        entries.push(Entry {
            origin: origin.clone(),
            section: CONSUMER.name().map(str::to_owned),
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

/// How long handlers may drain beside a `max.poll.interval.ms` that is not longer than the default of 30 s: half of
/// it. The coordinator waits no longer than that for the member to join again.
fn drain(name: &str, value: &str) -> Option<String> {
    let interval: u64 = value.parse().ok()?;
    let short = name == "max.poll.interval.ms" && interval <= 30_000;
    short.then(|| format!("{}ms", interval / 2))
}

/// The name as it is, or the family it belongs to.
fn find(name: &str) -> Option<&'static Name> {
    let exact = NAMES.iter().find(|known| known.name == name);
    exact.or_else(|| {
        let family =
            |known: &&Name| known.name.ends_with(['.', '_']) && name.starts_with(known.name);
        NAMES.iter().find(family)
    })
}

/// The sections of the table's targets, in short.
pub(super) const CLIENT: Section = Section::Client;
pub(super) const PRODUCER: Section = Section::Producer;
pub(super) const CONSUMER: Section = Section::Consumer;
