//! The start and the end of a consumer.

use std::sync::{Arc, OnceLock};

use milena_core::{CancelToken, ConsumerEnd, Error, ErrorKind, Event, Observers};
use milena_lanes::End;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

/// The start and the end of one consumer.
pub(crate) struct Lifecycle {
    /// The name of the group. `None` without a group.
    group: Option<Arc<str>>,
    /// Hear of the start and the end.
    observers: Observers,
    /// Notified at the end, for which receivers wait.
    ready: Arc<Notify>,
    /// Cancelled when the consumer is to shut down gracefully. Shutdown handles cancel it, and so
    /// does an end that no caller asked for.
    closing: CancelToken,
    /// Cancelled when the consumer is to end at once, without draining or committing.
    at_once: CancelToken,
    /// The tokio runtime that the tasks run on. Empty until the consumer starts.
    runtime: OnceLock<Handle>,
    /// The reason for the end. `None` while the consumer lives. The first reason is kept.
    end: watch::Sender<Option<End>>,
}

impl Lifecycle {
    /// Returns the lifecycle of a consumer that has not started.
    pub(crate) fn new(group: Option<Arc<str>>, observers: Observers, ready: Arc<Notify>) -> Self {
        Self {
            group,
            observers,
            ready,
            closing: CancelToken::new(),
            at_once: CancelToken::new(),
            runtime: OnceLock::new(),
            end: watch::Sender::new(None),
        }
    }

    /// Returns the token that is cancelled when the consumer is to shut down.
    pub(crate) fn closing(&self) -> &CancelToken {
        &self.closing
    }

    /// Returns the token that is cancelled when the consumer is to end at once.
    pub(crate) fn at_once(&self) -> &CancelToken {
        &self.at_once
    }

    /// Returns the tokio runtime that the tasks run on. `None` before the start.
    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.runtime.get()
    }

    /// Notes the runtime of the tasks. Returns true for the first call.
    pub(crate) fn run_on(&self, runtime: Handle) -> bool {
        self.runtime.set(runtime).is_ok()
    }

    /// Reports the start to observers.
    pub(crate) fn tell_start(&self) {
        let group = self.group_name();
        self.observers.emit(|| Event::ConsumerStarted { group });
    }

    /// Ends the consumer with an error. Adds the group to the error, if there is one.
    pub(crate) fn fail(&self, error: Error) {
        let error = match &self.group {
            Some(group) => error.group(Arc::clone(group)),
            None => error,
        };
        self.end(End::Failed(error));
    }

    /// Ends the consumer. Only the first reason counts. The group's task then gives the partitions
    /// back and leaves.
    pub(crate) fn end(&self, end: End) {
        let mut told = None;
        self.end.send_if_modified(|slot| {
            let first = slot.is_none();
            if first {
                told = Some(end.clone());
                *slot = Some(end);
            }
            first
        });
        if let Some(End::Failed(_) | End::Stopped(_)) = told {
            // The program may never call `recv` again. Without this the consumer would keep its
            // partitions for ever.
            self.closing.cancel();
        }
        if let Some(end) = told.filter(|_| self.runtime().is_some()) {
            self.tell_end(&end);
        }
        self.ready.notify_waiters();
    }

    /// Logs the end of a consumer that was started, and reports it to observers.
    fn tell_end(&self, end: &End) {
        let group = self.group_name();
        match end {
            // The runtime or the cluster ended first, as at the end of a program. That is not worth
            // an error.
            End::Failed(error) if error.kind() == ErrorKind::Closed => {
                tracing::warn!(group, %error, "the consumer cannot continue");
            }
            // The caller of `run` gets the error too. A consumer in a task of its own may have no
            // caller that looks.
            End::Failed(error) => {
                tracing::error!(group, ?error, "the consumer cannot continue");
            }
            End::Stopped(_) | End::Closed => {}
        }
        self.observers.emit(|| Event::ConsumerEnded {
            group,
            end: match end {
                End::Closed => ConsumerEnd::Closed,
                End::Stopped(reason) => ConsumerEnd::Stopped(reason),
                End::Failed(error) => ConsumerEnd::Failed(error),
            },
        });
    }

    /// Reports a start and an end to observers if `run` failed before the tasks started. Once they
    /// have started, `end` reports it.
    pub(crate) fn may_not_start(&self, error: &Error) {
        if self.runtime().is_none() {
            self.tell_start();
            let (group, end) = (self.group_name(), ConsumerEnd::Failed(error));
            self.observers.emit(|| Event::ConsumerEnded { group, end });
        }
    }

    /// Returns the reason for the end. `None` while the consumer lives.
    pub(crate) fn ended(&self) -> Option<End> {
        self.end.borrow().clone()
    }

    /// Waits until the consumer ends, and returns the reason.
    pub(crate) async fn until_end(&self) -> End {
        let mut end = self.end.subscribe();
        match end.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(End::Closed),
            Err(_) => End::Closed,
        }
    }

    fn group_name(&self) -> &str {
        self.group.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_for_an_end_is_kept_and_an_end_that_nobody_asked_for_closes() {
        let lifecycle = Lifecycle::new(Some("g".into()), Observers::none(), Arc::default());
        lifecycle.fail(Error::new(ErrorKind::State, "over"));
        lifecycle.end(End::Closed);
        assert!(matches!(lifecycle.ended(), Some(End::Failed(_))));
        assert!(lifecycle.closing().is_cancelled() && !lifecycle.at_once().is_cancelled());
    }
}
