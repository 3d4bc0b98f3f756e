//! Topics as they are wanted, held against topics as they are.

use std::fmt;

use milena_core::{Error, ErrorCode, Result, TopicName};
use tokio::time::{Instant, sleep};

use super::types::{NewTopic, TopicDescription};
use crate::configs::{ConfigChange, ConfigResource};
use crate::partitions::NewPartitions;
use crate::{Admin, PerItem};

/// Makes sure that topics exist with these settings, and says where they differ.
///
/// ```no_run
/// # async fn run(admin: milena_admin::Admin) -> milena_core::Result<()> {
/// use milena_admin::{NewTopic, TopicManager};
///
/// let topics = TopicManager::new(admin)
///     .topic(NewTopic::new("orders").partitions(12).config("retention.ms", "86400000"))
///     .topic("orders.dlq");
/// for (topic, state) in topics.ensure().await? {
///     println!("{topic}: {}", state?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TopicManager {
    admin: Admin,
    topics: Vec<NewTopic>,
    mend: bool,
}

/// How a wanted topic stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicState {
    /// It is not there.
    Missing,
    /// It was not there and was created.
    Created,
    /// It is as wanted.
    AsWanted,
    /// It differs in these.
    Differs(Vec<Difference>),
    /// It differed in `mended`, which were changed; `left` are those that cannot be changed in place.
    Mended {
        /// What was changed.
        mended: Vec<Difference>,
        /// What still differs.
        left: Vec<Difference>,
    },
}

/// One setting of a topic that is not as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// `partitions`, `replication.factor`, or the topic config's key.
    pub setting: String,
    /// What is wanted.
    pub wanted: String,
    /// What is.
    pub present: String,
}

impl TopicManager {
    /// A manager of no topics yet.
    #[must_use]
    pub fn new(admin: Admin) -> Self {
        Self {
            admin,
            topics: Vec::new(),
            mend: false,
        }
    }

    /// Adds a topic. What it leaves to the cluster (partitions, replicas, configs not named) is not compared.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<NewTopic>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// Adds topics.
    #[must_use]
    pub fn topics<T: Into<NewTopic>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// Whether [`ensure`](Self::ensure) also changes topics that are there: configs are set and partitions added; fewer partitions and
    /// another replication factor cannot be had in place. Default `false`: a topic that others use is only reported.
    #[must_use]
    pub fn mend(mut self, mend: bool) -> Self {
        self.mend = mend;
        self
    }

    /// Says how the topics stand, and changes nothing.
    ///
    /// # Errors
    /// Where no broker answers in time. Of an item: why it could not be described.
    pub async fn check(&self) -> Result<PerItem<TopicName, TopicState>> {
        self.states(&self.topics).await
    }

    async fn states(&self, topics: &[NewTopic]) -> Result<PerItem<TopicName, TopicState>> {
        let names = topics.iter().map(|topic| topic.name.clone());
        let described = self.admin.describe_topics(names).await?;
        let mut found = Vec::new();
        for (topic, (name, described)) in topics.iter().zip(described) {
            let state = match described {
                Ok(described) => self.compare_configs(topic, shape(topic, &described)).await,
                Err(error) if is_missing(&error) => Ok(TopicState::Missing),
                Err(error) => Err(error),
            };
            found.push((name, state));
        }
        Ok(PerItem::new(found))
    }

    /// Creates the topics that are missing, mends those that differ where [`mend`](Self::mend) allows it, and says what is left.
    ///
    /// Safe to run from many processes at once, and again: one that another created meanwhile is compared like any other.
    ///
    /// # Errors
    /// Where no broker answers in time. Of an item: why it could not be created, described or mended.
    pub async fn ensure(&self) -> Result<PerItem<TopicName, TopicState>> {
        let before = self.check().await?;
        let missing = self.topics.iter().filter(|topic| {
            let state = before.of(topic.name.as_str());
            matches!(state, Some(Ok(TopicState::Missing)))
        });
        let missing: Vec<NewTopic> = missing.cloned().collect();
        let created = self.admin.create_topics(missing).await?;
        let mut ended = Vec::new();
        for (topic, (name, state)) in self.topics.iter().zip(before) {
            let state = match state {
                Ok(TopicState::Missing) => match created.of(name.as_str()) {
                    Some(Ok(_)) => Ok(TopicState::Created),
                    Some(Err(error)) if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {
                        self.turned_up(topic).await
                    }
                    Some(Err(error)) => Err(error.clone()),
                    None => Ok(TopicState::Missing),
                },
                other => other,
            };
            let state = match state {
                Ok(TopicState::Differs(differences)) if self.mend => {
                    self.mend_one(topic, differences).await
                }
                other => other,
            };
            ended.push((name, state));
        }
        Ok(PerItem::new(ended))
    }

    /// How a topic stands that somebody else has just created: brokers learn of it one after the other.
    async fn turned_up(&self, topic: &NewTopic) -> Result<TopicState> {
        let deadline = Instant::now() + self.admin.timeout;
        let mut attempt = 0;
        loop {
            let states = self.states(std::slice::from_ref(topic)).await?.all()?;
            let state = states.into_iter().next().unwrap_or(TopicState::Missing);
            let wait = self.admin.cluster.backoff().delay(attempt);
            if state != TopicState::Missing || Instant::now() + wait >= deadline {
                return Ok(state);
            }
            attempt += 1;
            sleep(wait).await;
        }
    }

    async fn compare_configs(
        &self,
        topic: &NewTopic,
        mut differences: Vec<Difference>,
    ) -> Result<TopicState> {
        if !topic.configs.is_empty() {
            let resource = ConfigResource::Topic(topic.name.clone());
            let entries = self.admin.describe_configs([resource]).await.all()?;
            let entries = entries.into_iter().flatten();
            let present: std::collections::BTreeMap<_, _> = entries
                .map(|entry| (entry.name, entry.value.unwrap_or_default()))
                .collect();
            for (key, wanted) in &topic.configs {
                let present = present.get(key).cloned().unwrap_or_default();
                if present != *wanted {
                    differences.push(Difference {
                        setting: key.clone(),
                        wanted: wanted.clone(),
                        present,
                    });
                }
            }
        }
        Ok(if differences.is_empty() {
            TopicState::AsWanted
        } else {
            TopicState::Differs(differences)
        })
    }

    async fn mend_one(&self, topic: &NewTopic, differences: Vec<Difference>) -> Result<TopicState> {
        let (mut mended, mut left, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for difference in differences {
            match difference.setting.as_str() {
                "partitions" if grows(&difference) => {
                    let total = difference.wanted.parse().unwrap_or_default();
                    let more = NewPartitions::new(&topic.name, total);
                    self.admin.create_partitions([more]).await?.all()?;
                    mended.push(difference);
                }
                "partitions" | "replication.factor" => left.push(difference),
                key => {
                    changes.push(ConfigChange::set(key, &difference.wanted));
                    mended.push(difference);
                }
            }
        }
        if !changes.is_empty() {
            let resource = ConfigResource::Topic(topic.name.clone());
            self.admin
                .alter_configs([(resource, changes)])
                .await
                .all()?;
        }
        Ok(match mended.is_empty() {
            true => TopicState::Differs(left),
            false => TopicState::Mended { mended, left },
        })
    }
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

/// Where the number of partitions or replicas is not as wanted.
fn shape(topic: &NewTopic, described: &TopicDescription) -> Vec<Difference> {
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

fn wanted_partitions(topic: &NewTopic) -> Option<usize> {
    let placed = Some(topic.replicas.len()).filter(|count| *count > 0);
    placed.or_else(|| usize::try_from(topic.partitions?).ok())
}

fn wanted_replicas(topic: &NewTopic) -> Option<usize> {
    let placed = topic.replicas.first().map(Vec::len);
    placed.or_else(|| usize::try_from(topic.replication_factor?).ok())
}

fn compare(setting: &str, wanted: Option<usize>, present: usize, found: &mut Vec<Difference>) {
    if let Some(wanted) = wanted.filter(|wanted| *wanted != present) {
        found.push(Difference {
            setting: setting.to_owned(),
            wanted: wanted.to_string(),
            present: present.to_string(),
        });
    }
}

fn grows(difference: &Difference) -> bool {
    let count = |text: &str| text.parse::<i32>().unwrap_or_default();
    count(&difference.wanted) > count(&difference.present)
}

fn is_missing(error: &Error) -> bool {
    error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
}
