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
    /// unknown or without partitions, at most the API timeout.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a name that no topic can have; UNKNOWN_TOPIC_OR_PARTITION naming the
    /// topic when it does not turn up; TOPIC_AUTHORIZATION_FAILED at once; else why no broker answered.
    ///
    /// # Cancel safety
    /// Dropped, the topic stays in the picture.
    pub async fn topic(&self, name: impl Into<TopicName>) -> Result<Arc<TopicMetadata>> {
        self.topic_within(name, self.api_timeout()).await
    }

    /// As [`topic`](Self::topic), waiting at most `limit`.
    pub async fn topic_within(
        &self,
        name: impl Into<TopicName>,
        limit: Duration,
    ) -> Result<Arc<TopicMetadata>> {
        let name = name.into();
        if let Some(defect) = name.defect() {
            return Err(Error::new(ErrorKind::Config, defect).topic(name));
        }
        let deadline = Instant::now() + limit;
        let mut last = None;
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
            let wait = self.0.timing.retry.delay(attempt);
            attempt += 1;
            if Instant::now() + wait >= deadline {
                let missing = Error::broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
                return Err(last.unwrap_or(missing).topic(name));
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
