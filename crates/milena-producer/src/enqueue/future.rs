//! The future that enqueues a record of slices. It is usually ready at its first poll.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use milena_core::{HeadersRef, Result};

use crate::delivery::{Delivery, Receipt};
use crate::enqueue::draft::RecordDraft;
use crate::enqueue::entry::Entry;
use crate::enqueue::inner::Inner;
use crate::enqueue::topic::{Route, TopicState};

/// The future of [`Topic::enqueue`](crate::Topic::enqueue).
///
/// It is written by hand and not as an `async fn`, which passes arguments and result through memory
/// at each level. A load that spans two fresh stores then waits for both. That cost as much as
/// encoding the record.
pub(crate) struct Enqueue<'a> {
    /// The state of the producer.
    inner: &'a Inner,
    /// The topic.
    topic: &'a TopicState,
    /// The key. `None` is null.
    key: Option<&'a [u8]>,
    /// The value. `None` is null.
    value: Option<&'a [u8]>,
    /// The rest of the call, once it has to wait. `None` before.
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

    /// Places the record in a new batch if there is room, or waits for memory or metadata.
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
                let draft = RecordDraft::new(key, value, HeadersRef::empty(), None);
                let mut entry = Entry::decided(route);
                // A batch may be opened or may grow without a wait. Errors are ignored here, since
                // they occur again below.
                if let Ok(delivery) = inner.try_enqueue(topic, &draft, &mut entry) {
                    return Poll::Ready(Ok(delivery));
                }
                none.insert(Box::pin(async move {
                    let draft = RecordDraft::new(key, value, HeadersRef::empty(), None);
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
            && let Some((receipt, index)) =
                enqueue_plain(this.inner, this.topic, this.key, this.value, &mut route)
        {
            return Poll::Ready(Ok(Delivery::new(receipt, index)));
        }
        this.poll_slowly(route, cx)
    }
}

/// Places a record in the common case, with values that fit into registers in both directions.
/// `None` is any other case, in which nothing was placed and `route` may be written.
#[inline(never)]
fn enqueue_plain(
    inner: &Inner,
    topic: &TopicState,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    route: &mut Option<Route>,
) -> Option<(Arc<Receipt>, u32)> {
    let draft = RecordDraft::new(key, value, HeadersRef::empty(), None);
    if !inner.is_usual(topic, &draft) {
        return None;
    }
    let decided = topic.decide(&draft, None);
    let placed = inner.place_decided(topic, &draft, decided);
    if placed.is_none() {
        *route = Some(decided);
    }
    placed
}
