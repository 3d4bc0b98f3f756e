//! The trace context of the code that runs now. It is set around each poll of a future, so it holds
//! on any thread.

use std::cell::Cell;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::context::TraceContext;

thread_local! {
    /// The part of the poll that runs on this thread. Never [`Part::Around`]. Only [`enter`] and
    /// the lookups of this file write it.
    static CURRENT: Cell<Part> = const { Cell::new(Part::OfNone) };
}

/// The trace that some code belongs to. Kept small, because it is moved in and out around each
/// poll.
#[derive(Debug, Default)]
pub(crate) enum Part {
    /// The trace of the surrounding code.
    #[default]
    Around,
    /// No trace.
    OfNone,
    /// A trace that is not recorded. Its ids are drawn when they are first asked for, which most
    /// records never need.
    Unrecorded,
    /// A trace with known ids.
    Of(Box<TraceContext>),
}

impl From<Option<TraceContext>> for Part {
    fn from(context: Option<TraceContext>) -> Self {
        context.map_or(Self::OfNone, |context| Self::Of(Box::new(context)))
    }
}

/// Returns the context of the code that runs now. Draws the ids of an unrecorded trace if it has
/// none yet.
pub(crate) fn current() -> Option<TraceContext> {
    look(|part| {
        if let Part::Unrecorded = part {
            *part = Part::Of(Box::new(TraceContext::unsampled()));
        }
        match part {
            Part::Of(context) => Some((**context).clone()),
            _ => None,
        }
    })
}

/// Returns the context of the code that runs now if its trace is recorded.
pub(crate) fn recorded() -> Option<TraceContext> {
    look(|part| match part {
        Part::Of(context) if context.is_sampled() => Some((**context).clone()),
        _ => None,
    })
}

/// Gives `look` access to the current part.
fn look<T>(look: impl FnOnce(&mut Part) -> T) -> T {
    // The part is taken out and put back, because a `Cell` lends no reference to what it holds.
    CURRENT.with(|current| {
        let mut part = current.take();
        let seen = look(&mut part);
        current.set(part);
        seen
    })
}

/// A guard that holds a part as the current one while it lives. Dropping it restores the previous
/// part.
pub(crate) struct Entered<'a>(&'a mut Part);

/// Makes `part` the current one. Until the guard is dropped, `part` holds the previous one.
#[inline(always)]
pub(crate) fn enter(part: &mut Part) -> Entered<'_> {
    swap(part);
    Entered(part)
}

// Invariant: the current part is never `Around`. The part that was swapped in is therefore always
// swapped out again.
#[inline(always)]
fn swap(part: &mut Part) {
    if !matches!(part, Part::Around) {
        // The thread-local is gone while its thread ends. No code reads the context then.
        let _ = CURRENT.try_with(|current| *part = current.replace(mem::take(part)));
    }
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        swap(self.0);
    }
}

pin_project! {
    /// A future that runs as a part of a trace.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InTrace<F> {
        // The part to run as. While the future is polled it holds the surrounding part.
        part: Part,
        #[pin]
        inner: F,
    }
}

impl<F> InTrace<F> {
    pub(crate) fn new(context: Option<TraceContext>, inner: F) -> Self {
        Self {
            part: context.into(),
            inner,
        }
    }
}

impl<F: Future> Future for InTrace<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = enter(this.part);
        this.inner.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_context_holds_within_its_future_and_nowhere_else() {
        let (outer, inner) = (TraceContext::unsampled(), TraceContext::unsampled());
        let (of_outer, of_inner) = (outer.clone(), inner.clone());
        let seen = outer.in_trace(async move {
            let inside = inner.in_trace(async {
                tokio::task::yield_now().await;
                current()
            });
            let beside = async {
                tokio::task::yield_now().await;
                current()
            };
            tokio::join!(inside, beside)
        });
        assert_eq!(seen.await, (Some(of_inner), Some(of_outer)));
        assert_eq!(current(), None);
    }

    #[tokio::test]
    async fn a_panic_leaves_nothing_behind() {
        let context = TraceContext::unsampled();
        let task = tokio::spawn(context.in_trace(async { panic!("by design") }));
        assert!(task.await.is_err());
        assert_eq!(current(), None);
    }

    #[test]
    fn a_trace_that_nobody_records_has_one_context_however_often_it_is_asked_for() {
        let mut part = Part::Unrecorded;
        let seen = || {
            assert_eq!(recorded(), None);
            current().unwrap()
        };
        let first = {
            let _entered = enter(&mut part);
            let first = seen();
            assert_eq!(seen(), first);
            let mut around = Part::Around;
            let _inside = enter(&mut around);
            assert_eq!(seen(), first);
            first
        };
        assert!(!first.is_sampled());
        assert_eq!(current(), None);
        let _again = enter(&mut part);
        assert_eq!(seen(), first);
    }
}
