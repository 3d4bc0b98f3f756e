//! A record of slices on its way into its batch, as a future that is ready at once as a rule.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use milena_core::{HeadersRef, Result};

use crate::delivery::{Delivery, Receipt};
use crate::enqueue::Inner;
use crate::entry::Entry;
use crate::partition::Draft;
use crate::topic::{Route, TopicState};

/// Written by hand and not as an `async fn`: of that, arguments and result go through memory at each level, and a load that
/// spans two fresh stores waits for both. That cost as much as encoding the record.
pub(crate) struct Enqueue<'a> {
    inner: &'a Inner,
    topic: &'a TopicState,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    waiting: Option<Pin<Box<dyn Future<Output = Result<Delivery>> + Send + 'a>>>,
}

impl<'a> Enqueue<'a> {
    #[inline]
    pub(crate) fn new(
        inner: &'a Inner,
        topic: &'a TopicState,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
    ) -> Self {
        Self {
            inner,
            topic,
            key,
            value,
            waiting: None,
        }
    }

    /// Places the record where a new batch has to be opened, or waits for what it lacks.
    #[cold]
    #[inline(never)]
    fn poll_slowly(
        &mut self,
        route: Option<Route>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Delivery>> {
        let (inner, topic, key, value) = (self.inner, self.topic, self.key, self.value);
        let waiting = match &mut self.waiting {
            Some(waiting) => waiting,
            none => {
                let draft = Draft::new(key, value, HeadersRef::empty(), None);
                let mut entry = Entry::decided(route);
                // A batch is opened or grows, where nothing has to be waited for. Errors come again below.
                if let Ok(delivery) = inner.try_enqueue(topic, &draft, &mut entry) {
                    return Poll::Ready(Ok(delivery));
                }
                none.insert(Box::pin(async move {
                    let draft = Draft::new(key, value, HeadersRef::empty(), None);
                    inner.enqueue(topic, &draft, entry).await
                }))
            }
        };
        waiting.as_mut().poll(cx)
    }
}

impl Future for Enqueue<'_> {
    type Output = Result<Delivery>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut route = None;
        if this.waiting.is_none()
            && let Some((receipt, index)) = this
                .inner
                .enqueue_plain(this.topic, this.key, this.value, &mut route)
        {
            return Poll::Ready(Ok(Delivery::new(receipt, index)));
        }
        this.poll_slowly(route, cx)
    }
}

impl Inner {
    /// The common case, by values that fit into registers on both ways; only where it is not that one, `route` is written.
    #[inline(never)]
    fn enqueue_plain(
        &self,
        topic: &TopicState,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        route: &mut Option<Route>,
    ) -> Option<(Arc<Receipt>, u32)> {
        let draft = Draft::new(key, value, HeadersRef::empty(), None);
        if !self.is_usual(topic, &draft) {
            return None;
        }
        let decided = topic.decide(&draft, None);
        let placed = self.place_decided(topic, &draft, decided);
        if placed.is_none() {
            *route = Some(decided);
        }
        placed
    }
}
