//! Compares wanted topics with existing ones, and creates or changes topics on request.

use std::collections::BTreeMap;

use milena_core::{Error, ErrorCode, ErrorKind, Result, TopicName};
use tokio::time::{Instant, sleep};

use super::new_topic::NewTopic;
use super::state::{Difference, TopicState, grows, shape};
use super::values::is_same;
use crate::configs::{ConfigChange, ConfigResource};
use crate::partitions::NewPartitions;
use crate::{Admin, PerItem};

/// Ensures that topics exist with the wanted settings, and reports differences.
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
    /// The admin client with which topics are read and changed.
    admin: Admin,
    /// The wanted topics, in the order of their addition.
    pub(super) topics: Vec<NewTopic>,
    /// True if [`TopicManager::ensure`] changes existing topics.
    mend: bool,
}

impl TopicManager {
    /// Creates a manager without topics.
    #[must_use]
    pub fn new(admin: Admin) -> Self {
        Self {
            admin,
            topics: Vec::new(),
            mend: false,
        }
    }

    /// Adds a topic. Settings that it leaves to the cluster (partitions, replicas, configs not
    /// named) are not compared.
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

    /// Lets [`ensure`](Self::ensure) change existing topics, too. Default `false`, because other
    /// programs may use them. Differences are then only reported.
    ///
    /// Configs are set and partitions are added. A smaller number of partitions or another
    /// replication factor stays a difference, because Kafka cannot change these in place.
    #[must_use]
    pub fn mend(mut self, mend: bool) -> Self {
        self.mend = mend;
        self
    }

    /// Compares the topics with the wanted settings, without changing anything.
    ///
    /// Configs are compared the way brokers read them. `0.50` equals `0.5`, and the order of a list
    /// does not matter.
    ///
    /// # Errors
    /// The call fails if no broker answers in time. An item fails if it could not be described, and
    /// with [`ErrorKind::Config`] for a config that the broker does not know.
    pub async fn check(&self) -> Result<PerItem<TopicName, TopicState>> {
        self.states(&self.topics).await
    }

    /// Compares `topics` with the cluster.
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

    /// Creates missing topics. Changes topics that differ if [`mend`](Self::mend) allows it.
    /// Returns the state of each topic.
    ///
    /// Many processes may run it at the same time, and repeatedly. A topic that another process has
    /// just created is compared like any other.
    ///
    /// # Errors
    /// The call fails if no broker answers in time. An item fails if it could not be created,
    /// described or changed.
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

    /// Returns the state of a topic that another process has just created. Waits until a broker
    /// knows it, because brokers learn of it one after the other.
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

    /// Adds the configs that differ to `differences`. Returns the resulting state.
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
                    let what = "the broker does not know this topic config";
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

    /// Changes the settings of a topic that can be changed in place.
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
