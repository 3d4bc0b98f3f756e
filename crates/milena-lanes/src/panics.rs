//! Panics of user code. They become errors that name the code that panicked.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use futures_util::FutureExt;
use milena_core::{Error, ErrorKind, Result, panic_text};
use tokio::task::JoinSet;

/// Payload of a panic whose text already names the code that panicked.
struct Named(String);

/// Calls user code. A panic continues, with the name `what` added.
pub fn named<T>(what: &str, call: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(value) => value,
        Err(panic) => resume_unwind(Box::new(Named(text(what, &*panic)))),
    }
}

/// Calls user code. A panic becomes an error that names `what`.
pub fn contained<T>(what: &str, call: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| panicked(what, &*panic))
}

/// Awaits `work`. A panic becomes an error that names `what`.
pub async fn caught<T>(what: &str, work: impl Future<Output = T>) -> Result<T> {
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    ended.map_err(|panic| panicked(what, &*panic))
}

/// Waits until one of `tasks` panics, and continues its panic here. Never returns otherwise.
pub async fn panic_of<T: 'static>(tasks: &mut JoinSet<T>) -> std::convert::Infallible {
    while let Some(joined) = tasks.join_next().await {
        if let Err(ended) = joined
            && let Ok(panic) = ended.try_into_panic()
        {
            resume_unwind(panic);
        }
    }
    std::future::pending().await
}

/// Returns the error for a panic of `what`.
pub fn panicked(what: &str, panic: &(dyn Any + Send)) -> Error {
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
