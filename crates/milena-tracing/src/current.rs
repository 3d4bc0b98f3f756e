//! What the code that runs now belongs to: set around each poll of a future, so that it holds on whatever thread that is.

use std::cell::RefCell;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::context::TraceContext;

thread_local! {
    static CURRENT: RefCell<Option<TraceContext>> = const { RefCell::new(None) };
}

/// What the code that runs now belongs to.
pub(crate) fn current() -> Option<TraceContext> {
    CURRENT.with_borrow(Clone::clone)
}

/// Holds a context as the current one while it lives, and then the one before again.
pub(crate) struct Entered<'a>(&'a mut Option<TraceContext>);

/// Makes `context` the current one. It is lent: the slot holds the other one until the end.
pub(crate) fn enter(context: &mut Option<TraceContext>) -> Entered<'_> {
    swap(context);
    Entered(context)
}

fn swap(context: &mut Option<TraceContext>) {
    CURRENT.with_borrow_mut(|current| mem::swap(current, context));
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        swap(self.0);
    }
}

pin_project! {
    /// A future that is a part of a trace.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InTrace<F> {
        context: Option<TraceContext>,
        #[pin]
        inner: F,
    }
}

impl<F> InTrace<F> {
    pub(crate) fn new(context: Option<TraceContext>, inner: F) -> Self {
        Self { context, inner }
    }
}

impl<F: Future> Future for InTrace<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = enter(this.context);
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
}
