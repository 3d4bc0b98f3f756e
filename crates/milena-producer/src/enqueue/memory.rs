//! The byte budget for records without an outcome, and the buffers that batches are built in.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

/// The bytes of `buffer.memory`. A batch is charged when its buffer is opened or grows, and returns
/// the bytes when it has its outcome.
///
/// Callers that find the budget used up wait in the order in which they came.
#[derive(Debug)]
pub(crate) struct Budget {
    /// The bytes of the whole budget.
    limit: usize,
    /// The bytes that are free, as permits. It keeps the callers of `take` in line.
    free: Semaphore,
    /// The callers that wait in that line.
    waiting: AtomicUsize,
    /// The callers that wait, in the line or for [`room`](Self::room).
    held_back: Mutex<HeldBack>,
    /// Wakes the callers of [`room`](Self::room) whenever bytes are returned.
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

    /// Takes `bytes` if they are free and no caller waits for bytes.
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

    /// Takes `bytes`, and waits in line for them. Calls `waits` once if there is a wait.
    ///
    /// More than the whole budget is never free, so callers check for that first. If the future is
    /// dropped before it resolves, nothing was taken.
    pub(crate) async fn take(self: &Arc<Self>, bytes: usize, waits: impl FnOnce()) -> Charge {
        if let Some(charge) = self.try_take(bytes) {
            return charge;
        }
        let _waiting = InLine::new(self);
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

    /// Waits until `bytes` are free and no caller waits in line. Calls `lacks` before each wait.
    ///
    /// It takes nothing and has no place in the line, so a caller that stops polling keeps nothing
    /// from others.
    pub(crate) async fn room(&self, bytes: usize, lacks: impl Fn()) {
        let mut held = None;
        loop {
            let mut freed = pin!(self.freed.notified());
            // Enabled before the check, so that bytes returned after the check wake this caller.
            freed.as_mut().enable();
            if self.waiting() == 0 && self.free.available_permits() >= bytes.min(self.limit) {
                return;
            }
            lacks();
            held.get_or_insert_with(|| Held::new(self));
            freed.await;
        }
    }

    /// Returns bytes to the budget, and wakes the callers that look for room.
    fn give_back(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.free.add_permits(bytes);
        self.freed.notify_waiters();
    }

    /// Returns the number of callers that wait in line.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Returns for how long there has been a waiting caller without a break. `None` while there is
    /// none.
    pub(crate) fn waited(&self) -> Option<Duration> {
        self.held_back.lock().since.map(|since| since.elapsed())
    }

    /// Returns the bytes of the whole budget.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the bytes that are taken.
    pub(crate) fn used(&self) -> usize {
        self.limit.saturating_sub(self.free.available_permits())
    }
}

/// Bytes of the budget. They are returned when this is dropped, and so exactly once.
#[derive(Debug)]
pub(crate) struct Charge {
    /// The budget to which the bytes return.
    budget: Arc<Budget>,
    /// The count of bytes.
    bytes: usize,
}

impl Charge {
    /// Returns the count of bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes more, up to `bytes` in all, if they are free now. Returns false if they are not.
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

    /// Returns all bytes above `bytes` to the budget.
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

    /// Takes over the bytes of another charge.
    fn merge(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// Counts a caller in line for as long as it waits.
struct InLine<'a> {
    /// The budget whose `waiting` counts this caller.
    budget: &'a Budget,
    /// Counts this caller among those held back.
    _held: Held<'a>,
}

impl<'a> InLine<'a> {
    fn new(budget: &'a Budget) -> Self {
        budget.waiting.fetch_add(1, Ordering::AcqRel);
        Self {
            budget,
            _held: Held::new(budget),
        }
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.budget.waiting.fetch_sub(1, Ordering::AcqRel);
        // A caller that gave up frees what was held for it, which may be enough for others.
        self.budget.freed.notify_waiters();
    }
}

/// The callers that wait at present.
#[derive(Debug, Default)]
struct HeldBack {
    /// The count of callers.
    callers: usize,
    /// The time since which there has been a caller without a break. `None` while there is none.
    since: Option<Instant>,
}

/// Counts a waiting caller for as long as it waits.
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

/// Batch buffers for reuse, by size class. A fresh large buffer costs more in page faults than
/// filling it.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// The unused buffers of each class, the smallest class first.
    classes: Box<[Mutex<Vec<Vec<u8>>>]>,
    /// The size of the smallest class in bytes, a power of two.
    smallest: usize,
    /// The size of the largest class in bytes, a power of two.
    largest: usize,
    /// The bytes of all unused buffers.
    kept: AtomicUsize,
    /// The most bytes of buffers, used and unused together.
    keep: usize,
}

impl Buffers {
    /// Creates an empty pool. Classes double from `smallest` up to at least `largest`. Used and
    /// unused, the buffers take at most `keep` bytes.
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

    /// Returns the size of the buffer for `bytes`. It is that of the next larger class, or `bytes`
    /// if no class is large enough.
    pub(crate) fn size_for(&self, bytes: usize) -> usize {
        if bytes > self.largest {
            bytes
        } else {
            bytes.next_power_of_two().max(self.smallest)
        }
    }

    /// Returns a buffer with room for `size` bytes. `used` is the bytes of all buffers in use, this
    /// one included.
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

    /// Takes a buffer back. `used` is the bytes of all buffers in use, this one no longer included.
    /// Its content stays, and is overwritten by the next user.
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

    /// Returns the class of exactly this size. Buffers of other sizes are not kept.
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
        // 20 bytes are free beside the large charge, but not 30, so the small one comes a second
        // later.
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
        // There is no unused buffer of this size, so others are freed to make room.
        let large = buffers.take(1024, 1024);
        assert_eq!(kept(), 256);
        drop(buffers.take(256, 1280));
        // Too much is in use to keep this buffer.
        buffers.give(large, 600);
        assert_eq!(kept(), 0);
    }
}
