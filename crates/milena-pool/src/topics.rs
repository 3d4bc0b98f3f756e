//! Topics of interest: asked for once, kept in every renewal, and waited for while they settle.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorCode, ErrorKind, Result, TopicName, TopicPartition};
use milena_protocol::hints::{LeaderHint, NodeEndpoint};
use tokio::time::{Instant, timeout_at};

use crate::cluster::{Cluster, Wanted};
use crate::merge;
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
        self.add_wanted([name.clone()]);
        let mut attempt = 0;
        loop {
            match timeout_at(deadline, self.refresh()).await {
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

    /// Keeps these topics in the picture from now on, beside those already there; asks for a renewal
    /// when one of them is new. A topic that is in use must stay: none is dropped by age.
    pub fn want_topics(&self, names: impl IntoIterator<Item = TopicName>) {
        if self.add_wanted(names) {
            self.request_refresh();
        }
    }

    fn add_wanted(&self, names: impl IntoIterator<Item = TopicName>) -> bool {
        match &mut *self.0.wanted.lock() {
            Wanted::All => false,
            Wanted::Some(wanted) => {
                let before = wanted.len();
                wanted.extend(names);
                wanted.len() > before
            }
        }
    }

    /// Keeps every topic of the cluster in the picture from now on: for subscriptions by pattern.
    pub fn want_all_topics(&self) {
        let old = std::mem::replace(&mut *self.0.wanted.lock(), Wanted::All);
        if old != Wanted::All {
            self.request_refresh();
        }
    }

    /// Notes where a partition's leader went, as a Produce or Fetch answer told (KIP-951). An older
    /// epoch than the known one changes nothing. Returns whether the picture changed.
    pub fn learn_leader(
        &self,
        place: &TopicPartition,
        hint: &LeaderHint,
        endpoints: &[NodeEndpoint],
    ) -> bool {
        let changed = std::cell::Cell::new(false);
        self.0.change(|old| {
            let new = merge::follow(old, place, hint, endpoints);
            changed.set(new.is_some());
            new
        });
        changed.get()
    }

    /// Notes an error code about `place`: one of stale metadata asks for a renewal.
    pub fn note_error(&self, code: ErrorCode) {
        if code.is_stale_metadata() {
            self.request_refresh();
        }
    }
}
