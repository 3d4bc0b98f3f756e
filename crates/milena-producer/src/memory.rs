//! The byte budget for unsent records, and the buffers that batches are built in.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

/// `buffer_memory`: charged per batch when its buffer is opened or grows, given back when the batch has its outcome.
///
/// Callers that find it used up wait in the order in which they came.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    free: Semaphore,
    waiting: AtomicUsize,
    /// Callers held back, those without a place in the line too.
    held_back: Mutex<HeldBack>,
    /// Tells those who look for [`room`](Self::room) whenever bytes come back.
    freed: Notify,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            limit,
            free: Semaphore::new(limit),
            waiting: AtomicUsize::new(0),
            held_back: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// Takes `bytes` if they are free and nobody waits for them.
    pub(crate) fn try_take(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let permit = self
            .free
            .try_acquire_many(u32::try_from(bytes).ok()?)
            .ok()?;
        permit.forget();
        Some(Charge {
            budget: self.clone(),
            bytes,
        })
    }

    /// Takes `bytes`, waiting in line for them. `waits` is called once, if there is a wait.
    ///
    /// More than the whole budget is never free: callers check that first. Dropped before it resolves, nothing was taken.
    pub(crate) async fn take(self: &Arc<Self>, bytes: usize, waits: impl FnOnce()) -> Charge {
        if let Some(charge) = self.try_take(bytes) {
            return charge;
        }
        let _waiting = Waiting::new(self);
        waits();
        let count = u32::try_from(bytes.min(self.limit)).unwrap_or(u32::MAX);
        if let Ok(permit) = self.free.acquire_many(count).await {
            permit.forget();
        }
        Charge {
            budget: self.clone(),
            bytes: count as usize,
        }
    }

    /// Waits until `bytes` are free and nobody waits for them. It takes nothing and has no place in the line, so that one who does not
    /// look any more keeps nothing from others. `lacks` is called before each wait.
    pub(crate) async fn room(&self, bytes: usize, lacks: impl Fn()) {
        let mut held = None;
        loop {
            let mut freed = pin!(self.freed.notified());
            // Before the look: what is freed after it counts.
            freed.as_mut().enable();
            if self.waiting() == 0 && self.free.available_permits() >= bytes.min(self.limit) {
                return;
            }
            lacks();
            held.get_or_insert_with(|| Held::new(self));
            freed.await;
        }
    }

    fn give_back(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.free.add_permits(bytes);
        self.freed.notify_waiters();
    }

    /// How many callers wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// How long somebody has been waiting without a break; `None` while nobody does.
    pub(crate) fn waited(&self) -> Option<Duration> {
        self.held_back.lock().since.map(|since| since.elapsed())
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn used(&self) -> usize {
        self.limit.saturating_sub(self.free.available_permits())
    }
}

/// Bytes of the budget; given back when dropped, and so exactly once.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Charge {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes more, up to `bytes` in all, if that is free now.
    pub(crate) fn try_grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        match self.budget.try_take(more) {
            Some(charge) => {
                self.merge(charge);
                true
            }
            None => false,
        }
    }

    /// Gives back all above `bytes`.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.budget.give_back(less);
    }

    /// Splits off up to `bytes`.
    pub(crate) fn split(&mut self, bytes: usize) -> Self {
        let part = bytes.min(self.bytes);
        self.bytes -= part;
        Self {
            budget: self.budget.clone(),
            bytes: part,
        }
    }

    fn merge(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// Counts one waiting caller for as long as it waits.
struct Waiting<'a> {
    budget: &'a Budget,
    _held: Held<'a>,
}

impl<'a> Waiting<'a> {
    fn new(budget: &'a Budget) -> Self {
        budget.waiting.fetch_add(1, Ordering::AcqRel);
        Self {
            budget,
            _held: Held::new(budget),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.budget.waiting.fetch_sub(1, Ordering::AcqRel);
        // One that gave up leaves to others what was held for it.
        self.budget.freed.notify_waiters();
    }
}

/// How many callers are held back, and since when somebody has been without a break.
#[derive(Debug, Default)]
struct HeldBack {
    callers: usize,
    /// `None` while there are no callers.
    since: Option<Instant>,
}

/// Counts one caller that is held back, for as long as it is.
struct Held<'a>(&'a Budget);

impl<'a> Held<'a> {
    fn new(budget: &'a Budget) -> Self {
        let mut held = budget.held_back.lock();
        held.callers += 1;
        held.since.get_or_insert_with(Instant::now);
        Self(budget)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut held = self.0.held_back.lock();
        held.callers -= 1;
        if held.callers == 0 {
            held.since = None;
        }
    }
}

/// Batch buffers to use again, by size class: a fresh large buffer costs more in page faults than filling it.
#[derive(Debug)]
pub(crate) struct Buffers {
    classes: Box<[Mutex<Vec<Vec<u8>>>]>,
    smallest: usize,
    largest: usize,
    kept: AtomicUsize,
    keep: usize,
}

impl Buffers {
    /// Classes double from `smallest` up to at least `largest`; used and unused, there are at most `keep` bytes of them.
    pub(crate) fn new(smallest: usize, largest: usize, keep: usize) -> Self {
        let smallest = smallest.max(64).next_power_of_two();
        let largest = largest.max(smallest).next_power_of_two();
        let count = (largest / smallest).ilog2() + 1;
        Self {
            classes: (0..count).map(|_| Mutex::new(Vec::new())).collect(),
            smallest,
            largest,
            kept: AtomicUsize::new(0),
            keep,
        }
    }

    /// The size of the buffer for `bytes`: the class above, or just as much where no class is large enough.
    pub(crate) fn size_for(&self, bytes: usize) -> usize {
        if bytes > self.largest {
            bytes
        } else {
            bytes.next_power_of_two().max(self.smallest)
        }
    }

    /// A buffer with room for `size` bytes; `used` bytes of others are in use, this one's among them.
    pub(crate) fn take(&self, size: usize, used: usize) -> Vec<u8> {
        let unused = self.class(size).and_then(|class| class.lock().pop());
        match unused {
            Some(buffer) => {
                self.kept.fetch_sub(buffer.capacity(), Ordering::Relaxed);
                buffer
            }
            None => {
                self.trim(self.keep.saturating_sub(used));
                Vec::with_capacity(size)
            }
        }
    }

    /// Takes a buffer back, which is not among the `used` bytes any more; what lies in it is overwritten, not cleared.
    pub(crate) fn give(&self, buffer: Vec<u8>, used: usize) {
        let size = buffer.capacity();
        let Some(class) = self.class(size) else {
            return;
        };
        let keep = self.keep.saturating_sub(used);
        if self.kept.fetch_add(size, Ordering::Relaxed) + size > keep {
            self.kept.fetch_sub(size, Ordering::Relaxed);
            return;
        }
        class.lock().push(buffer);
    }

    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }

    /// Frees unused buffers until at most `keep` bytes of them are left.
    fn trim(&self, keep: usize) {
        for class in &self.classes {
            while self.kept.load(Ordering::Relaxed) > keep
                && let Some(buffer) = class.lock().pop()
            {
                self.kept.fetch_sub(buffer.capacity(), Ordering::Relaxed);
            }
        }
    }

    /// The class of exactly this size; buffers of other sizes are not kept.
    fn class(&self, size: usize) -> Option<&Mutex<Vec<Vec<u8>>>> {
        if !size.is_power_of_two() || size < self.smallest {
            return None;
        }
        self.classes.get((size / self.smallest).ilog2() as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn how_long_callers_are_held_back_is_told_until_none_is() {
        let budget = Budget::new(10);
        let all = budget.try_take(10).unwrap();
        assert_eq!(budget.waited(), None);
        let waits = tokio::spawn({
            let budget = budget.clone();
            async move { budget.take(1, || {}).await }
        });
        tokio::time::sleep(Duration::from_secs(7)).await;
        let looks = tokio::spawn({
            let budget = budget.clone();
            async move { budget.room(10, || {}).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(budget.waited(), Some(Duration::from_secs(8)));
        drop(all);
        drop(waits.await.unwrap());
        looks.await.unwrap();
        assert_eq!(budget.waited(), None);
    }

    #[test]
    fn a_charge_comes_back_exactly_once() {
        let budget = Budget::new(100);
        let mut charge = budget.try_take(60).unwrap();
        assert!(budget.try_take(60).is_none());
        assert!(charge.try_grow(90));
        assert!(!charge.try_grow(101));
        assert_eq!(budget.used(), 90);
        charge.shrink(40);
        let part = charge.split(15);
        assert_eq!((charge.bytes(), part.bytes(), budget.used()), (25, 15, 40));
        drop(charge);
        assert_eq!(budget.used(), 15);
        drop(part);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_get_memory_in_the_order_in_which_they_came() {
        let budget = Budget::new(100);
        let all = budget.take(100, || unreachable!("it was free")).await;
        let told = Arc::new(AtomicUsize::new(0));
        let wait = |bytes| {
            let (budget, told) = (budget.clone(), told.clone());
            tokio::spawn(async move {
                let notice = told.clone();
                let waits = move || {
                    notice.fetch_add(1, Ordering::SeqCst);
                };
                let charge = budget.take(bytes, waits).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                drop(charge);
                tokio::time::Instant::now()
            })
        };
        let large = wait(80);
        tokio::task::yield_now().await;
        let small = wait(30);
        tokio::task::yield_now().await;
        assert_eq!((told.load(Ordering::SeqCst), budget.waiting()), (2, 2));
        drop(all);
        // 20 bytes are free beside the large one, but not 30: the small one comes a second later.
        let (large, small) = (large.await.unwrap(), small.await.unwrap());
        assert_eq!(small - large, Duration::from_secs(1));
        assert_eq!((budget.used(), budget.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_gives_up_takes_nothing() {
        let budget = Budget::new(10);
        let held = budget.try_take(10).unwrap();
        let wait = budget.take(5, || ());
        assert!(
            tokio::time::timeout(Duration::from_secs(1), wait)
                .await
                .is_err()
        );
        assert_eq!(budget.waiting(), 0);
        drop(held);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn buffers_are_used_again_by_class_and_kept_up_to_a_limit() {
        let buffers = Buffers::new(16, 1024, 1500);
        assert_eq!(buffers.size_for(65), 128);
        assert_eq!(buffers.size_for(5000), 5000);
        let kept = || buffers.kept();
        let first = buffers.take(1024, 1024);
        let second = buffers.take(1024, 1500);
        let place = first.as_ptr();
        buffers.give(first, 0);
        buffers.give(second, 0);
        assert_eq!(kept(), 1024);
        let again = buffers.take(1024, 1024);
        assert_eq!(again.as_ptr(), place);
        assert_eq!(kept(), 0);
    }

    #[test]
    fn used_and_unused_buffers_together_stay_within_the_limit() {
        let buffers = Buffers::new(16, 1024, 1500);
        let kept = || buffers.kept();
        let held: Vec<_> = (0..5).map(|_| buffers.take(256, 1280)).collect();
        for buffer in held {
            buffers.give(buffer, 0);
        }
        assert_eq!(kept(), 1280);
        // A size that is not there: others make room for it.
        let large = buffers.take(1024, 1024);
        assert_eq!(kept(), 256);
        drop(buffers.take(256, 1280));
        // Too much is in use for this one to be kept.
        buffers.give(large, 600);
        assert_eq!(kept(), 0);
    }
}
