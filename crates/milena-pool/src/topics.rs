//! Topics in use. They are asked for once, kept in every refresh, and waited for until they have
//! leaders.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorCode, ErrorKind, Result, TopicName, TopicPartition};
use milena_protocol::hints::{LeaderHint, NodeEndpoint};
use tokio::time::{Instant, timeout_at};

use crate::cluster::Cluster;
use crate::merge::{self, Moved};
use crate::metadata::TopicMetadata;

impl Cluster {
    /// Returns the topic `name`. Asks for it if it is not in the metadata.
    ///
    /// Waits at most the API timeout while the topic has no leaders for a moment. Waits at most
    /// five seconds while brokers do not know the topic, because a new topic may take that long to
    /// reach all brokers.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`] for a name that no topic can have.
    /// - UNKNOWN_TOPIC_OR_PARTITION if the topic is not found in time. The text says how to create
    ///   it.
    /// - TOPIC_AUTHORIZATION_FAILED at once.
    /// - The last failure if no broker answered.
    ///
    /// # Cancel safety
    /// If the future is dropped, the topic stays in the metadata.
    pub async fn topic(&self, name: impl Into<TopicName>) -> Result<Arc<TopicMetadata>> {
        let limit = self.api_timeout();
        self.find_topic(name.into(), limit, UNKNOWN_FOR.min(limit))
            .await
    }

    /// Like [`topic`](Self::topic), but waits at most `limit`, also for a topic that brokers do not
    /// know, since it may be created meanwhile. Logs a warning after five seconds.
    pub async fn topic_within(
        &self,
        name: impl Into<TopicName>,
        limit: Duration,
    ) -> Result<Arc<TopicMetadata>> {
        self.find_topic(name.into(), limit, limit).await
    }

    async fn find_topic(
        &self,
        name: TopicName,
        limit: Duration,
        unknown_for: Duration,
    ) -> Result<Arc<TopicMetadata>> {
        if let Some(defect) = name.defect() {
            return Err(Error::new(ErrorKind::Config, defect).topic(name));
        }
        let deadline = Instant::now() + limit;
        let mut last = None;
        let mut unknown = Unknown::default();
        // Ignore an error in the current metadata. The topic may have been authorized since.
        if let Ok(Some(found)) = self.settled(&name, &mut last) {
            return Ok(found);
        }
        let mut attempt = 0;
        loop {
            // Ask for this topic alone, so that the cost does not grow with the number of known
            // topics (KIP-526).
            self.core().wanted.lock().ask(&name, Instant::now());
            let asked = self.core().signals.ask_part();
            match timeout_at(deadline, self.served(asked)).await {
                Ok(Ok(())) => {
                    if let Some(found) = self.settled(&name, &mut last)? {
                        return Ok(found);
                    }
                }
                Ok(Err(error)) if error.kind() == ErrorKind::Closed => return Err(error),
                Ok(Err(error)) => last = Some(error),
                Err(_) => {}
            }
            if unknown.is_over(last.as_ref(), &name, unknown_for) {
                return Err(unknown_topic(name));
            }
            let wait = self.backoff().delay(attempt);
            attempt += 1;
            if Instant::now() + wait >= deadline {
                return Err(match last {
                    Some(error) if !is_unknown(&error) => error.topic(name),
                    _ => unknown_topic(name),
                });
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Returns the topic if it can be used, `None` if waiting may help, and an error if it cannot.
    fn settled(&self, name: &str, last: &mut Option<Error>) -> Result<Option<Arc<TopicMetadata>>> {
        let Some(topic) = self.metadata().topic(name).cloned() else {
            return Ok(None);
        };
        match topic.error {
            None if !topic.partitions.is_empty() => return Ok(Some(topic)),
            None => {}
            Some(code) if code.is_retriable() => *last = Some(Error::broker(code)),
            Some(code) => return Err(Error::broker(code).topic(name)),
        }
        Ok(None)
    }

    /// Keeps these topics in the metadata, besides the topics already there. Asks at once for new
    /// ones.
    ///
    /// A topic that nothing looks up for
    /// [`metadata_max_idle`](crate::ClusterBuilder::metadata_max_idle) is no longer asked for and
    /// leaves the metadata. Call this again when a topic that is needed is missing there.
    pub fn want_topics(&self, names: impl IntoIterator<Item = TopicName>) {
        let now = Instant::now();
        let metadata = self.metadata();
        let is_known = |name: &TopicName| {
            let topic = metadata.peek_topic(name);
            topic.is_some_and(|topic| topic.error.is_none())
        };
        let asks = {
            let mut wanted = self.core().wanted.lock();
            let added = names
                .into_iter()
                .map(|name| wanted.add(&name, is_known(&name), now));
            added.fold(false, |any, asks| any | asks)
        };
        if asks {
            self.core().signals.ask_part();
            self.keep_up();
        }
    }

    /// Requests fresh metadata of these topics alone, and does not wait. Used after another answer
    /// showed that the topics have changed.
    ///
    /// The cost does not grow with the number of known topics. Several requests become one.
    /// Requests that bring nothing new are spaced further and further apart.
    pub fn request_topics(&self, names: impl IntoIterator<Item = TopicName>) {
        let now = Instant::now();
        {
            let mut wanted = self.core().wanted.lock();
            for name in names {
                wanted.ask(&name, now);
            }
        }
        self.core().signals.ask_part();
        self.keep_up();
    }

    /// Adds the leaders that one Produce or Fetch answer named (KIP-951). A leader whose epoch is
    /// not newer than the known one is ignored. Returns true if the metadata changed.
    ///
    /// Pass all leaders of an answer in one call, because each call copies the metadata.
    pub fn learn_leaders(
        &self,
        hints: impl IntoIterator<Item = (TopicPartition, LeaderHint)>,
        endpoints: &[NodeEndpoint],
    ) -> bool {
        let moved: Vec<_> = hints
            .into_iter()
            .map(|(place, hint)| Moved { place, hint })
            .collect();
        if moved.is_empty() {
            return false;
        }
        let mut changed = false;
        self.core().change(|old| {
            let (picture, _) = merge::follow(old, &moved, endpoints)?;
            changed = true;
            Some(picture)
        });
        changed
    }

    /// Like [`learn_leaders`](Self::learn_leaders), for one partition.
    pub fn learn_leader(
        &self,
        place: &TopicPartition,
        hint: &LeaderHint,
        endpoints: &[NodeEndpoint],
    ) -> bool {
        self.learn_leaders([(place.clone(), *hint)], endpoints)
    }

    /// Requests a refresh if `code` means that the metadata is out of date.
    pub fn note_error(&self, code: ErrorCode) {
        if code.is_stale_metadata() {
            self.request_refresh();
        }
    }
}

/// The time for which brokers have answered that they do not know a topic.
#[derive(Default)]
struct Unknown {
    /// The time of the first such answer in a row. `None` if the last answer was another one.
    since: Option<Instant>,
    /// True once the wait was logged.
    told: bool,
}

impl Unknown {
    /// Notes the last answer. Returns true if brokers have not known the topic for `limit`. Logs a
    /// warning once if they have not known it for five seconds.
    fn is_over(&mut self, last: Option<&Error>, topic: &TopicName, limit: Duration) -> bool {
        if !last.is_some_and(is_unknown) {
            self.since = None;
            return false;
        }
        let now = Instant::now();
        let lasted = now - *self.since.get_or_insert(now);
        if lasted >= limit {
            return true;
        }
        if lasted >= UNKNOWN_FOR && !self.told {
            self.told = true;
            tracing::warn!(
                topic = &**topic,
                "waiting for a topic that does not exist; {}",
                remedy(topic)
            );
        }
        false
    }
}

fn is_unknown(error: &Error) -> bool {
    error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
}

/// Creates the error of a topic that brokers do not know. The text says how to create it.
fn unknown_topic(topic: TopicName) -> Error {
    let what = format!("the topic does not exist; {}", remedy(&topic));
    Error::new(
        ErrorKind::Broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        what,
    )
    .topic(topic)
}

/// Returns how to create the topic.
fn remedy(topic: &str) -> String {
    format!("create it with `milena topics create {topic}` or `client.admin().create_topics(…)`")
}

/// The longest time that a new topic may take to be known to every broker.
const UNKNOWN_FOR: Duration = Duration::from_secs(5);
