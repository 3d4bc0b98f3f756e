//! Topics of interest: asked for once, kept in every renewal, and waited for while they settle.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorCode, ErrorKind, Result, TopicName, TopicPartition};
use milena_protocol::hints::{LeaderHint, NodeEndpoint};
use tokio::time::{Instant, timeout_at};

use crate::cluster::Cluster;
use crate::merge::{self, Moved};
use crate::metadata::TopicMetadata;

impl Cluster {
    /// The topic `name`, asked for when it is not in the picture; waits while it is temporarily
    /// without leaders, at most the API timeout, and five seconds for one that brokers do not know: as
    /// long as a topic that was just made may take to be known to all of them.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a name that no topic can have; UNKNOWN_TOPIC_OR_PARTITION naming the
    /// topic and how to create it when it does not turn up; TOPIC_AUTHORIZATION_FAILED at once; else
    /// why no broker answered.
    ///
    /// # Cancel safety
    /// Dropped, the topic stays in the picture.
    pub async fn topic(&self, name: impl Into<TopicName>) -> Result<Arc<TopicMetadata>> {
        let limit = self.api_timeout();
        self.find_topic(name.into(), limit, UNKNOWN_FOR.min(limit))
            .await
    }

    /// As [`topic`](Self::topic), waiting at most `limit`, also for a topic that brokers do not know:
    /// it may be made meanwhile. The log warns of it after five seconds.
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
        // A refusal may have been lifted since it was heard.
        if let Ok(Some(found)) = self.settled(&name, &mut last) {
            return Ok(found);
        }
        let mut attempt = 0;
        loop {
            // Alone, so that what it costs does not grow with the topics that are known (KIP-526).
            self.0.wanted.lock().ask(&name, Instant::now());
            let asked = self.0.signals.ask_part();
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
            let wait = self.0.timing.retry.delay(attempt);
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

    /// The topic when it can be used; an error when waiting will not help.
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

    /// Keeps these topics in the picture, beside those already there, and asks at once for those that are new.
    ///
    /// A topic that nothing looks up in the picture for five minutes is asked for no more and leaves it: call this again when one that
    /// is needed is missing there.
    pub fn want_topics(&self, names: impl IntoIterator<Item = TopicName>) {
        let now = Instant::now();
        let metadata = self.metadata();
        let is_known = |name: &TopicName| {
            let topic = metadata.peek_topic(name);
            topic.is_some_and(|topic| topic.error.is_none())
        };
        let asks = {
            let mut wanted = self.0.wanted.lock();
            let added = names
                .into_iter()
                .map(|name| wanted.add(&name, is_known(&name), now));
            added.fold(false, |any, asks| any | asks)
        };
        if asks {
            self.0.signals.ask_part();
            self.0.keep_up();
        }
    }

    /// Asks for these topics again, without the others, and does not wait: for whoever was told that something of them has changed.
    ///
    /// What it costs does not grow with the topics that are known. Several askings become one; those that bring nothing new are spaced as
    /// renewals are.
    pub fn request_topics(&self, names: impl IntoIterator<Item = TopicName>) {
        let now = Instant::now();
        {
            let mut wanted = self.0.wanted.lock();
            for name in names {
                wanted.ask(&name, now);
            }
        }
        self.0.signals.ask_part();
        self.0.keep_up();
    }

    /// Notes where leaders went, as one Produce or Fetch answer told (KIP-951). An epoch that is not newer than the known one changes
    /// nothing. Returns whether the picture changed.
    ///
    /// Give all that an answer tells in one call: each one makes a new picture.
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
        self.0.change(|old| {
            let (picture, _) = merge::follow(old, &moved, endpoints)?;
            changed = true;
            Some(picture)
        });
        changed
    }

    /// As [`learn_leaders`](Self::learn_leaders), of one partition.
    pub fn learn_leader(
        &self,
        place: &TopicPartition,
        hint: &LeaderHint,
        endpoints: &[NodeEndpoint],
    ) -> bool {
        self.learn_leaders([(place.clone(), *hint)], endpoints)
    }

    /// Notes an error code about `place`: one of stale metadata asks for a renewal.
    pub fn note_error(&self, code: ErrorCode) {
        if code.is_stale_metadata() {
            self.request_refresh();
        }
    }
}

/// For how long brokers have said that they do not know a topic.
#[derive(Default)]
struct Unknown {
    /// Since when; `None` while the last answer was another one.
    since: Option<Instant>,
    /// Whether the log has it.
    told: bool,
}

impl Unknown {
    /// Whether the last answer was that again, for as long as it is waited for.
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

/// The error for a topic that brokers do not know, with the remedy.
fn unknown_topic(topic: TopicName) -> Error {
    let what = format!("the topic does not exist; {}", remedy(&topic));
    Error::new(
        ErrorKind::Broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        what,
    )
    .topic(topic)
}

fn remedy(topic: &str) -> String {
    format!("create it with `milena topics create {topic}` or `client.admin().create_topics(…)`")
}

/// How long a topic that was just made may take to be known to every broker.
const UNKNOWN_FOR: Duration = Duration::from_secs(5);
