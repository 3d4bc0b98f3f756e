//! Topics as they are wanted, held against topics as they are.

use std::collections::BTreeMap;

use milena_core::{Error, ErrorCode, ErrorKind, Result, TopicName};
use tokio::time::{Instant, sleep};

use super::state::{Difference, TopicState, grows, shape};
use super::types::NewTopic;
use super::values::is_same;
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
    pub(super) topics: Vec<NewTopic>,
    mend: bool,
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

    /// Says how the topics stand, and changes nothing. Configs are compared as the broker reads them: `0.50` is `0.5`, and the words of
    /// a list have no order.
    ///
    /// # Errors
    /// Where no broker answers in time. Of an item: why it could not be described; [`ErrorKind::Config`] for a config that the broker
    /// does not know.
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
            let present: BTreeMap<_, _> =
                entries.map(|entry| (entry.name.clone(), entry)).collect();
            for (key, wanted) in &topic.configs {
                let Some(entry) = present.get(key) else {
                    let what = "the broker knows no such config of a topic";
                    let error = Error::new(ErrorKind::Config, what);
                    return Err(error.topic(&topic.name).setting(key.clone()));
                };
                let present = entry.value.as_deref().unwrap_or_default();
                if !is_same(entry.kind, wanted, present) {
                    differences.push(Difference {
                        setting: key.clone(),
                        wanted: wanted.clone(),
                        present: present.to_owned(),
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

fn is_missing(error: &Error) -> bool {
    error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
}
