//! A token that tells running work to stop, for handlers that can stop early.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use crate::wakers::Wakers;

/// Tells a handler to stop, because its attempt timed out, its partition is being revoked, or the
/// consumer shuts down.
///
/// All clones share one state. A cancelled token stays cancelled.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<TokenState>);

#[derive(Debug, Default)]
struct TokenState {
    /// True once this token was cancelled. Does not show if the parent was.
    cancelled: AtomicBool,
    /// Wakers of the futures that wait for this token.
    wakers: Wakers,
    /// The token that cancels this one, too. `None` for a token from [`CancelToken::new`].
    parent: Option<CancelToken>,
}

impl CancelToken {
    /// Creates a token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a token that is cancelled when this one is, or on its own.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(Arc::new(TokenState {
            parent: Some(self.clone()),
            ..TokenState::default()
        }))
    }

    /// Creates a [`child`](Self::child) and keeps a clone in `spare`.
    ///
    /// Reuses the memory of the token in `spare` if nothing else holds that token. Meant for layers
    /// that create a child for each record.
    #[must_use]
    pub fn child_again(&self, spare: &mut Option<Self>) -> Self {
        if let Some(spare) = spare
            // `get_mut` succeeds only if no clone is left. Nobody can then see that the token is
            // reset.
            && let Some(inner) = Arc::get_mut(&mut spare.0)
            && let Some(parent) = &mut inner.parent
        {
            if !Arc::ptr_eq(&parent.0, &self.0) {
                parent.clone_from(self);
            }
            *inner.cancelled.get_mut() = false;
            return spare.clone();
        }
        spare.insert(self.child()).clone()
    }

    /// Cancels this token and all its children.
    pub fn cancel(&self) {
        if !self.0.cancelled.swap(true, Ordering::AcqRel) {
            self.0.wakers.wake_all();
        }
    }

    /// Returns true if this token or one of its parents was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let mut token = Some(self);
        while let Some(CancelToken(inner)) = token {
            if inner.cancelled.load(Ordering::Acquire) {
                return true;
            }
            token = inner.parent.as_ref();
        }
        false
    }

    /// Waits until this token or one of its parents is cancelled.
    ///
    /// # Cancel safety
    /// The future may be dropped and requested again.
    pub fn cancelled(&self) -> Cancelled {
        let mut waits = Vec::with_capacity(2);
        let mut token = Some(self);
        while let Some(each) = token {
            waits.push((each.clone(), None));
            token = each.0.parent.as_ref();
        }
        Cancelled(waits)
    }
}

/// A future that resolves when its token is cancelled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Cancelled(Vec<(CancelToken, Option<u64>)>);

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        for (token, id) in &mut self.0 {
            token.0.wakers.register(id, cx);
        }
        let done = self
            .0
            .iter()
            .any(|(token, _)| token.0.cancelled.load(Ordering::Acquire));
        if done { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        for (token, id) in &mut self.0 {
            token.0.wakers.forget(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_waiting_task_wakes_when_the_token_is_cancelled() {
        let token = CancelToken::new();
        let waiting = tokio::spawn(token.child().cancelled());
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        token.cancel();
        waiting.await.unwrap();
    }

    #[test]
    fn the_memory_of_a_child_is_used_again_once_nobody_holds_it() {
        let (parent, mut spare) = (CancelToken::new(), None);
        let first = parent.child_again(&mut spare);
        first.cancel();
        let second = parent.child_again(&mut spare);
        assert!(first.is_cancelled() && !second.is_cancelled());
        drop((first, second));
        let other = CancelToken::new();
        let third = other.child_again(&mut spare);
        third.cancel();
        drop(third);
        let fourth = other.child_again(&mut spare);
        assert!(!fourth.is_cancelled());
        other.cancel();
        assert!(fourth.is_cancelled() && !parent.is_cancelled());
    }

    #[test]
    fn a_child_is_cancelled_alone_or_with_its_parent() {
        let parent = CancelToken::new();
        let (one, two) = (parent.child(), parent.child().child());
        one.cancel();
        assert!(one.is_cancelled() && !parent.is_cancelled() && !two.is_cancelled());
        parent.cancel();
        assert!(two.is_cancelled());
        assert!(two.cancelled().now_or_never().is_some());
    }
}
