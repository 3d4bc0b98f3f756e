//! What the code that runs now belongs to: set around each poll of a future, so that it holds on whatever thread that is.

use std::cell::Cell;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::context::TraceContext;

thread_local! {
    static CURRENT: Cell<Part> = const { Cell::new(Part::OfNone) };
}

/// What some code is a part of. Small, since it is moved in and out around each poll.
#[derive(Debug, Default)]
pub(crate) enum Part {
    /// Of what stands around it.
    #[default]
    Around,
    /// Of no trace.
    OfNone,
    /// Of a trace that nobody records. Its ids are drawn when someone asks for them, which for most records nobody does.
    Unrecorded,
    Of(Box<TraceContext>),
}

impl From<Option<TraceContext>> for Part {
    fn from(context: Option<TraceContext>) -> Self {
        context.map_or(Self::OfNone, |context| Self::Of(Box::new(context)))
    }
}

/// What the code that runs now belongs to.
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

/// The same where it is recorded.
pub(crate) fn recorded() -> Option<TraceContext> {
    look(|part| match part {
        Part::Of(context) if context.is_sampled() => Some((**context).clone()),
        _ => None,
    })
}

fn look<T>(look: impl FnOnce(&mut Part) -> T) -> T {
    CURRENT.with(|current| {
        let mut part = current.take();
        let seen = look(&mut part);
        current.set(part);
        seen
    })
}

/// Holds a part as the current one while it lives, and then the one before again.
pub(crate) struct Entered<'a>(&'a mut Part);

/// Makes `part` the current one. It is lent: the slot holds the other one until the end.
#[inline(always)]
pub(crate) fn enter(part: &mut Part) -> Entered<'_> {
    swap(part);
    Entered(part)
}

// Invariant: the current part is never `Around`, so that what was swapped in is swapped out again.
#[inline(always)]
fn swap(part: &mut Part) {
    if !matches!(part, Part::Around) {
        // While a thread ends there is none, which nobody asks for then.
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
    /// A future that is a part of a trace.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InTrace<F> {
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
