//! Supervision of a consumer's tasks. A panic on one of them ends the consumer with an error that
//! names the code that panicked.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use milena_core::{Error, ErrorKind, Result, panic_text};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::core::{Core, End};

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
                        self.core.release(&self.core.partitions());
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
            self.core.fail(error);
        }
    }

    /// Returns true if the consumer is about to end, so that tasks may end.
    fn is_ending(&self) -> bool {
        self.core.closing.is_cancelled() || self.core.ended().is_some()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Has no effect if the end was noted before, as by `Engine::abort`. A tokio runtime that
        // shuts down drops this without that.
        self.core.end(End::Failed(Error::new(
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

/// Payload of a panic whose text already names the code that panicked.
struct Named(String);

/// Calls user code. A panic continues, with the name `what` added.
pub(crate) fn named<T>(what: &str, call: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(value) => value,
        Err(panic) => resume_unwind(Box::new(Named(text(what, &*panic)))),
    }
}

/// Calls user code. A panic becomes an error that names `what`.
pub(crate) fn contained<T>(what: &str, call: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| panicked(what, &*panic))
}

/// Awaits `work`. A panic becomes an error that names `what`.
pub(crate) async fn caught<T>(what: &str, work: impl Future<Output = T>) -> Result<T> {
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    ended.map_err(|panic| panicked(what, &*panic))
}

/// Waits until one of `tasks` panics, and continues its panic here. Never returns otherwise.
pub(crate) async fn panic_of<T: 'static>(tasks: &mut JoinSet<T>) -> std::convert::Infallible {
    while let Some(joined) = tasks.join_next().await {
        if let Err(ended) = joined
            && let Ok(panic) = ended.try_into_panic()
        {
            resume_unwind(panic);
        }
    }
    std::future::pending().await
}

fn panicked(what: &str, panic: &(dyn Any + Send)) -> Error {
    Error::new(ErrorKind::Panicked, text(what, panic))
}

fn text(what: &str, panic: &(dyn Any + Send)) -> String {
    match panic.downcast_ref::<Named>() {
        Some(Named(text)) => text.clone(),
        None => {
            // The text of an assertion has several lines, and an error has one.
            let told = panic_text(panic);
            let lines: Vec<_> = told.lines().map(str::trim).collect();
            format!("{what} panicked: {}", lines.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_that_names_the_innermost_code_that_has_a_name() {
        let error = caught("the group's task", async { panic!("out of {}", "paper") });
        let error = error.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert_eq!(error.message(), "the group's task panicked: out of paper");
        let clock = || named("the clock", || panic!("stopped\n  at noon"));
        let error = contained("a lane", clock).unwrap_err();
        assert_eq!(error.message(), "the clock panicked: stopped, at noon");
    }

    #[tokio::test]
    async fn a_task_that_panics_ends_whoever_waits_for_it() {
        let waiting = async {
            let mut tasks = JoinSet::new();
            tasks.spawn(async {});
            tasks.spawn(async { named("the recorder", || panic!("full")) });
            panic_of(&mut tasks).await;
        };
        let error = caught("a lane", waiting).await.unwrap_err();
        assert_eq!(error.message(), "the recorder panicked: full");
    }
}
