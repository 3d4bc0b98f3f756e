//! The state of a wanted topic, and its differences.

use std::fmt;

use super::describe::TopicDescription;
use super::new_topic::NewTopic;

/// The state of a wanted topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicState {
    /// The topic does not exist.
    Missing,
    /// The topic did not exist and was created.
    Created,
    /// The topic has the wanted settings.
    AsWanted,
    /// The topic has other settings.
    Differs(Vec<Difference>),
    /// The topic had other settings, and some of them were changed.
    Mended {
        /// The settings that were changed.
        mended: Vec<Difference>,
        /// The settings that still differ, because Kafka cannot change them in place.
        left: Vec<Difference>,
    },
}

/// A setting of a topic that is not as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// `partitions`, `replication.factor`, or the topic config's key.
    pub setting: String,
    /// The wanted value.
    pub wanted: String,
    /// The present value.
    pub present: String,
}

impl fmt::Display for TopicState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, all: &[Difference]| {
            all.iter()
                .enumerate()
                .try_for_each(|(at, each)| write!(f, "{}{each}", if at == 0 { "" } else { "; " }))
        };
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Created => f.write_str("created"),
            Self::AsWanted => f.write_str("as wanted"),
            Self::Differs(differences) => {
                f.write_str("differs: ")?;
                list(f, differences)
            }
            Self::Mended { mended, left } => {
                f.write_str("mended: ")?;
                list(f, mended)?;
                if left.is_empty() {
                    return Ok(());
                }
                f.write_str("; still differs: ")?;
                list(f, left)
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            wanted,
            present,
        } = self;
        write!(f, "{setting} is {present}, wanted {wanted}")
    }
}

/// Returns the differences in the number of partitions and replicas.
pub(super) fn shape(topic: &NewTopic, described: &TopicDescription) -> Vec<Difference> {
    let mut differences = Vec::new();
    let partitions = described.partitions.len();
    let first = described.partitions.first();
    let replicas = first.map_or(0, |partition| partition.replicas.len());
    let wanted = wanted_partitions(topic);
    compare("partitions", wanted, partitions, &mut differences);
    let wanted = wanted_replicas(topic);
    compare("replication.factor", wanted, replicas, &mut differences);
    differences
}

/// Returns the wanted number of partitions. `None` leaves it to the cluster.
fn wanted_partitions(topic: &NewTopic) -> Option<usize> {
    let placed = Some(topic.replicas.len()).filter(|count| *count > 0);
    placed.or_else(|| usize::try_from(topic.partitions?).ok())
}

/// Returns the wanted number of replicas. `None` leaves it to the cluster.
fn wanted_replicas(topic: &NewTopic) -> Option<usize> {
    let placed = topic.replicas.first().map(Vec::len);
    placed.or_else(|| usize::try_from(topic.replication_factor?).ok())
}

/// Adds a difference if the wanted number is another one.
fn compare(setting: &str, wanted: Option<usize>, present: usize, found: &mut Vec<Difference>) {
    if let Some(wanted) = wanted.filter(|wanted| *wanted != present) {
        found.push(Difference {
            setting: setting.to_owned(),
            wanted: wanted.to_string(),
            present: present.to_string(),
        });
    }
}

/// Returns true if the wanted number is larger than the present one.
pub(super) fn grows(difference: &Difference) -> bool {
    let count = |text: &str| text.parse::<i32>().unwrap_or_default();
    count(&difference.wanted) > count(&difference.present)
}
