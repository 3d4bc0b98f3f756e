//! The topics that a stack writes to, and those that its consumer reads.

use std::collections::BTreeMap;

use milena_admin::{Admin, NewTopic};
use milena_core::{ErrorCode, Result, Routes, TopicName, WriteName};
use milena_middleware::RetryTopics;

/// The topics of a consumer, with the missing ones among those that its layers write to.
pub(crate) struct TopicPlan {
    /// The topics that the consumer subscribes to.
    subscribe: Vec<TopicName>,
    /// The topics to create, each with its count of partitions. Some may exist.
    wanted: BTreeMap<TopicName, i32>,
}

impl TopicPlan {
    /// Plans the topics of a stack or a router, whose consumer reads `read`. The values are counts
    /// of partitions.
    pub(crate) fn of_routes<R: Routes>(routes: &R, read: &BTreeMap<TopicName, i32>) -> Self {
        let most = read.values().copied().max().unwrap_or(1);
        let mut plan = Self {
            subscribe: read.keys().cloned().collect(),
            wanted: BTreeMap::new(),
        };
        for info in routes.routes() {
            for target in info.writes.iter().filter(|target| target.same_cluster) {
                match &target.to {
                    WriteName::Topic(name) => {
                        plan.wanted.insert(name.clone(), most);
                    }
                    WriteName::Suffix(_) => {
                        let own =
                            |topic: &TopicName| info.takes(topic) && info.base_of(topic).is_none();
                        for (topic, partitions) in read.iter().filter(|(topic, _)| own(topic)) {
                            plan.add_retries(target.for_topic(topic), *partitions);
                        }
                    }
                }
            }
        }
        plan
    }

    /// Plans the retry topics of `topic`, each with as many partitions as `topic`.
    pub(crate) fn of_retries(topics: &RetryTopics, topic: &TopicName, partitions: i32) -> Self {
        let missing = topics.of(topic).into_iter();
        Self {
            subscribe: topics.all_of(topic),
            wanted: missing.map(|name| (name, partitions)).collect(),
        }
    }

    /// Adds a retry topic.
    fn add_retries(&mut self, topic: TopicName, partitions: i32) {
        if !self.subscribe.contains(&topic) {
            self.subscribe.push(topic.clone());
        }
        self.wanted.insert(topic, partitions);
    }

    /// Creates the missing topics. Returns the topics that the consumer subscribes to.
    pub(crate) async fn create(self, admin: &Admin) -> Result<Vec<TopicName>> {
        let new =
            |(name, partitions): (&TopicName, &i32)| NewTopic::new(name).partitions(*partitions);
        let created = admin.create_topics(self.wanted.iter().map(new)).await?;
        for (_, result) in created.iter() {
            match result {
                Err(error) if error.code() != Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {
                    return Err(error.clone());
                }
                _ => {}
            }
        }
        Ok(self.subscribe)
    }
}
