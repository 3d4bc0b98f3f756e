//! The task that renews the picture of the cluster: on demand, coalesced, and when it grows old.

use std::sync::{Arc, Weak};
use std::time::Duration;

use milena_core::{Error, ErrorCode, ErrorKind, Event, Result};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::metadata_request::MetadataRequestTopic;
use milena_protocol::messages::{MetadataRequest, MetadataResponse, TopicName as WireName};
use tokio::time::{Instant, sleep_until};

use crate::cluster::{Inner, Wanted};
use crate::connection::Connection;
use crate::merge::merge;
use crate::race::first;
use crate::tasks::closed;

/// Renews the picture until the cluster handle is closed or dropped.
pub(crate) async fn run(weak: Weak<Inner>) {
    let Some(signals) = weak.upgrade().map(|inner| inner.signals.clone()) else {
        return;
    };
    let mut failures = 0;
    let mut served = 0;
    let mut not_before = Instant::now();
    loop {
        let Some((asked, due)) = weak
            .upgrade()
            .map(|inner| (inner.signals.asked(), inner.due()))
        else {
            return;
        };
        if asked == served {
            tokio::select! {
                () = signals.wake.notified() => continue,
                () = signals.closing.cancelled() => return,
                () = sleep_until(due) => {}
            }
        }
        tokio::select! {
            () = sleep_until(not_before) => {}
            () = signals.closing.cancelled() => return,
        }
        let Some(inner) = weak.upgrade() else { return };
        served = inner.signals.asked();
        let outcome = tokio::select! {
            outcome = inner.renew() => outcome,
            () = signals.closing.cancelled() => return,
        };
        let delay = inner.timing.retry.delay(failures);
        match &outcome {
            Ok(()) => failures = 0,
            Err(_) => failures += 1,
        }
        not_before = Instant::now() + delay;
        inner.done(served, outcome.err());
    }
}

impl Inner {
    /// Asks one broker after the other until one tells how the cluster looks now.
    pub(crate) async fn renew(self: &Arc<Self>) -> Result<()> {
        let started = Instant::now();
        let answer = match self.ask_known().await {
            Ok(answer) => answer,
            Err(known) => {
                if let Some(error) = &known {
                    let observers = &self.dialer.options.observers;
                    observers.emit(|| Event::Rebootstrap { error });
                }
                self.ask_bootstrap(known).await?
            }
        };
        self.accept(&answer)?;
        let metadata = self.metadata.load();
        self.dialer
            .options
            .observers
            .emit(|| Event::MetadataRefreshed {
                brokers: metadata.brokers.len(),
                topics: metadata.topics.len(),
                elapsed: started.elapsed(),
            });
        Ok(())
    }

    /// `Err(None)` when no broker is known, else why the last one failed. A broker that hangs does
    /// not hold the others back: the next one is asked while it is still awaited.
    async fn ask_known(self: &Arc<Self>) -> Result<MetadataResponse, Option<Error>> {
        let asked = first(self.by_load(), PATIENCE, |node| async move {
            let broker = self.broker(node)?;
            let connection = broker.check_out().await?;
            self.ask(&connection).await
        });
        match asked.await {
            // KIP-1102: the cluster tells its clients to start over.
            Ok(answer) if answer.error_code == ErrorCode::REBOOTSTRAP_REQUIRED.to_wire() => {
                Err(Some(Error::broker(ErrorCode::REBOOTSTRAP_REQUIRED)))
            }
            Ok(answer) => Ok(answer),
            Err(failures) => Err(failures.into_iter().last()),
        }
    }

    /// Starts over from the bootstrap addresses, each resolved anew (KIP-899).
    async fn ask_bootstrap(self: &Arc<Self>, known: Option<Error>) -> Result<MetadataResponse> {
        let mut addresses = self.bootstrap.clone();
        fastrand::shuffle(&mut addresses);
        let asked = first(&addresses, PATIENCE, |address| async move {
            let asked = match self.dialer.dial(address, None).await {
                Ok(connection) => self.ask(&connection).await,
                Err(error) => Err(error),
            };
            asked.map_err(|error| (address, error))
        });
        let failures = match asked.await {
            Ok(answer) => return Ok(answer),
            Err(failures) => failures,
        };
        let texts: Vec<_> = failures
            .iter()
            .map(|(address, error)| format!("{address}: {}", error.message()))
            .collect();
        let last = failures.last().map(|(_, error)| error.clone()).or(known);
        let kind = last.as_ref().map_or(ErrorKind::Transport, Error::kind);
        let what = format!("no broker could be reached; tried {}", texts.join(", "));
        let error = Error::new(kind, what).setting("bootstrap.servers");
        Err(match (addresses.as_slice(), last) {
            ([only], Some(last)) => error.address(only).with_source(last),
            (_, Some(last)) => error.with_source(last),
            _ => error,
        })
    }

    async fn ask(&self, connection: &Connection) -> Result<MetadataResponse> {
        let wanted = self.wanted.lock().clone();
        let topics = match wanted {
            Wanted::All => None,
            Wanted::Some(names) => Some(
                names
                    .iter()
                    .map(|name| {
                        let name = StrBytes::from_string(name.to_string());
                        MetadataRequestTopic::default().with_name(Some(WireName(name)))
                    })
                    .collect(),
            ),
        };
        let request = MetadataRequest::default()
            .with_topics(topics)
            .with_allow_auto_topic_creation(false);
        connection.call(&request).await
    }

    fn accept(self: &Arc<Self>, answer: &MetadataResponse) -> Result<()> {
        if let Some(code) = milena_core::ErrorCode::from_wire(answer.error_code) {
            return Err(Error::broker(code).api("Metadata"));
        }
        if self.signals.closing.is_cancelled() {
            return Err(closed());
        }
        self.change(|old| Some(merge(old, answer)));
        if self.metadata.load().brokers.is_empty() {
            let what = "the answer to Metadata names no broker";
            return Err(Error::new(ErrorKind::Transport, what).api("Metadata"));
        }
        self.renewed();
        Ok(())
    }
}

/// How long one broker is awaited before the next one is asked, too.
const PATIENCE: Duration = Duration::from_secs(1);
