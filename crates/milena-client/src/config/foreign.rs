//! Settings by the names of other clients: each kept, mapped, or refused with the reason.

use milena_core::Result;

use super::entry::{Entry, Origin};
use super::foreign_names::{NAMES, Name, Rule};
use super::key::Section;
use super::nearest::nearest;
use super::value::Raw;

/// What becomes of a property of Kafka's Java client or of librdkafka.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Property {
    /// Its name.
    pub name: String,
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
/// assert!(matches!(&told[1].fate, Fate::Refused(why) if why.contains("codec")));
/// ```
pub fn properties<K: Into<String>, V: Into<String>>(
    properties: impl IntoIterator<Item = (K, V)>,
) -> Vec<Property> {
    let origin = Origin::whole("a property");
    let given = properties.into_iter();
    let given: Vec<_> = given
        .map(|(name, value)| (origin.clone(), name.into(), value.into()))
        .collect();
    let fates = given.iter().map(|one| settled(one, &given));
    let named = given.iter().zip(fates);
    named
        .map(|((_, name, _), settled)| Property {
            name: name.clone(),
            fate: settled.fate,
        })
        .collect()
}

/// The settings that properties become.
///
/// # Errors
/// [`ErrorKind::Config`](milena_core::ErrorKind::Config) with the first that is refused and the reason, and the names of the others.
pub(crate) fn entries(given: &[(Origin, String, String)]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut refused: Vec<(&Origin, &str, String)> = Vec::new();
    for one in given {
        let settled = settled(one, given);
        match settled.fate {
            Fate::Refused(why) => refused.push((&one.0, &one.1, why)),
            Fate::Kept | Fate::Mapped(_) => entries.extend(settled.entries),
        }
    }
    let Some(((origin, name, why), others)) = refused.split_first() else {
        return Ok(entries);
    };
    let others: Vec<_> = others.iter().map(|(_, name, _)| *name).collect();
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

    fn refused(why: impl Into<String>) -> Self {
        Self {
            fate: Fate::Refused(why.into()),
            entries: Vec::new(),
        }
    }
}

fn settled(one: &(Origin, String, String), given: &[(Origin, String, String)]) -> Settled {
    let (origin, name, value) = one;
    let value = value.trim();
    let Some(known) = find(name) else {
        let names = NAMES.iter().map(|known| known.name);
        return Settled::refused(match nearest(name, names) {
            Some(near) => format!("no client knows it; did you mean `{near}`?"),
            None => "no client knows it".to_owned(),
        });
    };
    let of = |wanted: &str| {
        let last = given.iter().rev().find(|(_, name, _)| name == wanted);
        last.map(|(_, _, value)| value.trim().to_owned())
    };
    match &known.rule {
        Rule::Refused(why) => Settled::refused(*why),
        Rule::Only(allowed, _) if allowed.iter().any(|one| one.eq_ignore_ascii_case(value)) => {
            Settled::nothing()
        }
        Rule::Only(allowed, why) => {
            Settled::refused(format!("{why}; only {} is taken", allowed.join(" or ")))
        }
        Rule::With(main, alone) => match (of(main), alone) {
            // Read together with the other one.
            (Some(_), _) | (None, None) => Settled::nothing(),
            (None, Some(alone)) => match find(main) {
                Some(main) => becomes(origin, main, alone, &of),
                None => Settled::refused("its partner is unknown"),
            },
        },
        Rule::Is(..) => becomes(origin, known, value, &of),
    }
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
        return Settled::refused(format!("its value cannot be `{value}`"));
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
    let shown = |entry: &Entry| format!("{} = {}", entry.path(), entry.value.shown());
    let fate = match kept {
        true => Fate::Kept,
        false => Fate::Mapped(entries.iter().map(shown).collect()),
    };
    Settled { fate, entries }
}

/// The name as it is, or the family it belongs to.
fn find(name: &str) -> Option<&'static Name> {
    let exact = NAMES.iter().find(|known| known.name == name);
    exact.or_else(|| {
        let family = |known: &&Name| known.name.ends_with('.') && name.starts_with(known.name);
        NAMES.iter().find(family)
    })
}

/// The sections of the table's targets, in short.
pub(super) const CLIENT: Section = Section::Client;
pub(super) const PRODUCER: Section = Section::Producer;
pub(super) const CONSUMER: Section = Section::Consumer;
