//! Supervision of a consumer's tasks. A panic on one of them ends the consumer with an error that
//! names the code that panicked.

use std::future::Future;
use std::sync::Arc;

use milena_core::{Error, ErrorKind, Result};
use milena_lanes::{End, caught, panicked};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::core::Core;

/// Owner of all tasks of a consumer. It ends the consumer if one of them ends too early or panics.
///
/// Dropping it ends the tasks. Without a supervisor, a task that panicked would leave the others
/// behind. A member could then send heartbeats for partitions that no task reads, or read
/// partitions that other members have.
pub(crate) struct Supervisor {
    /// The consumer.
    core: Arc<Core>,
    /// The running tasks. Each returns its name and its panic, if there was one.
    tasks: JoinSet<(&'static str, Result<()>)>,
    /// Guard that notes the end of the group's task when this is dropped.
    _left: Left,
}

impl Supervisor {
    /// Returns a supervisor without tasks. It sets `left` to true when it is dropped, since no task
    /// can be a member then.
    pub(crate) fn new(core: Arc<Core>, left: &watch::Sender<bool>) -> Self {
        Self {
            core,
            tasks: JoinSet::new(),
            _left: Left(left.clone()),
        }
    }

    /// Starts a task. Errors call it `what`.
    pub(crate) fn start<F>(&mut self, runtime: &Handle, what: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = async move { (what, caught(what, task).await) };
        self.tasks.spawn_on(task, runtime);
    }

    /// Watches the tasks until all of them have ended.
    pub(crate) async fn run(mut self) {
        while let Some(joined) = self.tasks.join_next().await {
            let error = match joined {
                Ok((_, Ok(()))) if self.is_ending() => continue,
                Ok((what, Ok(()))) => {
                    let what = format!("{what} ended before the consumer did");
                    Error::new(ErrorKind::State, what)
                }
                Ok((what, Err(error))) => {
                    if what == GROUP {
                        // The group's task would have given the partitions back, and it has
                        // panicked.
                        self.core
                            .assignment
                            .release(&self.core.assignment.partitions());
                        self.core.membership.send_replace(None);
                    }
                    error
                }
                // The destructor of something that the task held has panicked.
                Err(ended) => match ended.try_into_panic() {
                    Ok(panic) => panicked("a task of the consumer", &*panic),
                    Err(_) => continue,
                },
            };
            self.core.lifecycle.fail(error);
        }
    }

    /// Returns true if the consumer is about to end, so that tasks may end.
    fn is_ending(&self) -> bool {
        self.core.lifecycle.closing().is_cancelled() || self.core.lifecycle.ended().is_some()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Has no effect if the end was noted before, as by `Engine::abort`. A tokio runtime that
        // shuts down drops this without that.
        self.core.lifecycle.end(End::Failed(Error::new(
            ErrorKind::Closed,
            "the tokio runtime that the consumer was started on has shut down: build the consumer on the runtime that uses it",
        )));
    }
}

/// Guard that sets its value to true when it is dropped. It notes the end of the group's task.
pub(crate) struct Left(pub(crate) watch::Sender<bool>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// The name of the group's task in errors.
pub(crate) const GROUP: &str = "the group's task";
