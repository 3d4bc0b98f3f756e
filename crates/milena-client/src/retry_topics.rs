//! The topics that a stack writes to, made where they are missing.

use std::collections::BTreeMap;

use milena_admin::NewTopic;
use milena_core::{ErrorCode, Result, Routes, TopicName, WriteName};
use milena_middleware::RetryTopics;

use crate::client::Client;

impl Client {
    /// Creates the topics that the layers of a stack or a router write to, where they are missing: dead letters, retries, and what an
    /// [`EmitLayer`](milena_middleware::EmitLayer) was told. Gives what the consumer subscribes to: `topics` and their retry topics.
    ///
    /// A retry topic has as many partitions as its own topic, any other one as many as the largest of `topics`. Replication and retention
    /// are the brokers' defaults; retention has to be longer than the delays. Without this call a topic that is missing is an error of
    /// `run`, before the first record.
    ///
    /// # Errors
    /// One of `topics` that does not exist; why another one cannot be made.
    ///
    /// # Cancel safety
    /// Dropped, some of the topics may be made. May be called again.
    pub async fn create_topics_for<R, I>(&self, routes: &R, topics: I) -> Result<Vec<TopicName>>
    where
        R: Routes,
        I: IntoIterator,
        I::Item: Into<TopicName>,
    {
        let mut read = BTreeMap::new();
        for topic in topics {
            let topic = topic.into();
            let partitions = self.cluster().topic(topic.clone()).await?.partitions.len();
            read.insert(topic, i32::try_from(partitions).unwrap_or(i32::MAX));
        }
        let most = read.values().copied().max().unwrap_or(1);
        let mut wanted = BTreeMap::new();
        let mut subscribe: Vec<TopicName> = read.keys().cloned().collect();
        for info in routes.routes() {
            for target in info.writes.iter().filter(|target| target.same_cluster) {
                match &target.to {
                    WriteName::Topic(name) => {
                        wanted.insert(name.clone(), most);
                    }
                    WriteName::Suffix(_) => {
                        let own =
                            |topic: &TopicName| info.takes(topic) && info.base_of(topic).is_none();
                        for (topic, partitions) in read.iter().filter(|(topic, _)| own(topic)) {
                            let retries = target.for_topic(topic);
                            if !subscribe.contains(&retries) {
                                subscribe.push(retries.clone());
                            }
                            wanted.insert(retries, *partitions);
                        }
                    }
                }
            }
        }
        self.create_missing(wanted).await?;
        Ok(subscribe)
    }

    /// Creates the retry topics of `topic` where they are missing, each with as many partitions as it, and gives what a consumer of it
    /// subscribes to: the topic and its retry topics.
    ///
    /// Replication and retention are the brokers' defaults; retention has to be longer than the delays.
    ///
    /// # Errors
    /// A topic that does not exist; why a retry topic cannot be made.
    ///
    /// # Cancel safety
    /// Dropped, some of the topics may be made. May be called again.
    pub async fn create_retry_topics(
        &self,
        topics: &RetryTopics,
        topic: impl Into<TopicName>,
    ) -> Result<Vec<TopicName>> {
        let topic = topic.into();
        let partitions = self.cluster().topic(topic.clone()).await?.partitions.len();
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        let missing = topics.of(&topic).into_iter();
        self.create_missing(missing.map(|name| (name, partitions)).collect())
            .await?;
        Ok(topics.all_of(&topic))
    }

    async fn create_missing(&self, topics: BTreeMap<TopicName, i32>) -> Result<()> {
        let new =
            |(name, partitions): (&TopicName, &i32)| NewTopic::new(name).partitions(*partitions);
        let created = self.admin().create_topics(topics.iter().map(new)).await?;
        for (_, result) in created.iter() {
            match result {
                Err(error) if error.code() != Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {
                    return Err(error.clone());
                }
                _ => {}
            }
        }
        Ok(())
    }
}
