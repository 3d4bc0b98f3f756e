//! The service that is not ready until it holds a token.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use milena_core::BoxError;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::limiter::RateLimiter;

/// The service that [`RateLimitLayer`](super::RateLimitLayer) makes.
pub struct RateLimit<S> {
    inner: S,
    limiter: RateLimiter,
    /// The token for the next call.
    token: Token,
}

enum Token {
    None,
    /// The token was taken from the bucket and becomes available when the sleep ends.
    Coming(Pin<Box<Sleep>>),
    There,
}

impl<S> RateLimit<S> {
    pub(super) fn new(inner: S, limiter: RateLimiter) -> Self {
        Self {
            inner,
            limiter,
            token: Token::None,
        }
    }

    fn poll_token(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.token {
                Token::There => return Poll::Ready(()),
                Token::None => {
                    let now = Instant::now();
                    let at = self.limiter.take(now);
                    self.token = if at <= now {
                        Token::There
                    } else {
                        Token::Coming(Box::pin(sleep_until(at)))
                    };
                }
                Token::Coming(wait) => {
                    ready!(wait.as_mut().poll(cx));
                    self.token = Token::There;
                    self.limiter.waited();
                }
            }
        }
    }
}

impl<R, S> Service<R> for RateLimit<S>
where
    S: Service<R>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        ready!(self.poll_token(cx));
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.token = Token::None;
        self.inner.call(request)
    }
}

/// Returns a token that was not used to the bucket, for other lanes.
impl<S> Drop for RateLimit<S> {
    fn drop(&mut self) {
        match self.token {
            Token::None => {}
            Token::There => self.limiter.give_back(),
            Token::Coming(_) => {
                self.limiter.give_back();
                self.limiter.waited();
            }
        }
    }
}

/// Clones without the token.
impl<S: Clone> Clone for RateLimit<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.limiter.clone())
    }
}

impl<S: fmt::Debug> fmt::Debug for RateLimit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}
