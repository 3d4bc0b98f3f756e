//! The outcome of a record. A batch has one shared receipt, and a record its index in the batch.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use milena_core::{Error, Offset, RecordMetadata, Result, Timestamp, TopicPartition};
use parking_lot::Mutex;

/// The outcome of one record, to be awaited. It may also be dropped, and the record is still sent.
///
/// Resolves once the record's batch is acknowledged as [`Acks`](crate::Acks) asks, or given up.
/// Each accepted record has exactly one outcome. That is `Ok` if it was delivered. Otherwise it is
/// an error whose [`persistence`](Error::persistence) says whether the record was not written or
/// possibly written.
///
/// # Errors
/// - [`Timeout`](milena_core::ErrorKind::Timeout) after the delivery timeout
/// - [`RecordTooLarge`](milena_core::ErrorKind::RecordTooLarge) if the broker does not accept a
///   batch with this record alone
/// - [`Closed`](milena_core::ErrorKind::Closed) if the producer was closed first
/// - the broker's refusal otherwise
///
/// # Cancel safety
/// Dropping it cancels nothing.
#[must_use = "only the delivery says whether the record was written; await it, or drop it on purpose"]
pub struct Delivery {
    /// The receipt of the record's batch. After a split it is that of the part with the record.
    receipt: Arc<Receipt>,
    /// The index of the record in the receipt's batch.
    index: u32,
    /// The index of this delivery's waker in the receipt. `NO_WAKER` before the first wait.
    waker: u32,
}

impl Delivery {
    #[inline]
    pub(crate) fn new(receipt: Arc<Receipt>, index: u32) -> Self {
        Self {
            receipt,
            index,
            waker: NO_WAKER,
        }
    }

    /// Returns the batch's receipt and the record's index in it.
    pub(crate) fn into_place(self) -> (Arc<Receipt>, u32) {
        (self.receipt, self.index)
    }

    /// Returns the partition that the record was placed in.
    #[must_use]
    pub fn partition(&self) -> &TopicPartition {
        &self.receipt.place
    }

    /// Returns the outcome, if it is known by now.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<RecordMetadata>> {
        let (mut receipt, mut index) = (&self.receipt, self.index);
        loop {
            match receipt.fate.get()? {
                Fate::Split(parts) => {
                    let part = part_of(parts, index)?;
                    index = part.index(index);
                    receipt = &part.receipt;
                }
                fate => return Some(fate.of(receipt, index)),
            }
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Small enough to be inlined, so that the metadata is not passed through memory.
        let receipt = &self.receipt;
        match receipt.fate.get() {
            Some(Fate::Delivered { base, appended }) => {
                Poll::Ready(Ok(receipt.delivered(self.index, *base, *appended)))
            }
            _ => self.poll_slowly(cx),
        }
    }
}

impl Delivery {
    /// Polls in any case other than a delivered batch.
    #[cold]
    #[inline(never)]
    fn poll_slowly(&mut self, cx: &mut Context<'_>) -> Poll<Result<RecordMetadata>> {
        loop {
            match self.receipt.fate.get() {
                None => {
                    if !self.receipt.register(&mut self.waker, cx.waker()) {
                        return Poll::Pending;
                    }
                }
                Some(Fate::Split(parts)) => {
                    let Some(part) = part_of(parts, self.index) else {
                        return Poll::Pending;
                    };
                    *self = Self::new(part.receipt.clone(), part.index(self.index));
                }
                Some(fate) => return Poll::Ready(fate.of(&self.receipt, self.index)),
            }
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("partition", self.partition())
            .field("outcome", &self.outcome())
            .finish()
    }
}

/// The outcome of one batch, shared by all deliveries of its records.
#[derive(Debug)]
pub(crate) struct Receipt {
    /// The partition that the batch is for.
    place: Arc<TopicPartition>,
    /// The outcome. Set once, and empty before.
    fate: OnceLock<Fate>,
    /// The tasks that wait for the outcome. Emptied when it is set.
    wakers: Mutex<Vec<WakerSlot>>,
}

/// The outcome of a batch.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It is in the log.
    Delivered {
        /// The offset of its first record. `None` if the broker did not say.
        base: Option<Offset>,
        /// The time at which the broker appended it. `None` if the records keep their own
        /// timestamps.
        appended: Option<Timestamp>,
    },
    /// It was given up.
    Failed(Error),
    /// The broker refused it because of some of its records.
    Refused {
        /// The error of the records that are not in `each`.
        rest: Error,
        /// The records that were refused themselves, by index, with their own errors.
        each: Box<[(u32, Error)]>,
    },
    /// It goes on as several batches, in the order of its records.
    Split(Box<[ReceiptPart]>),
}

/// Records that stood next to each other in a batch which goes on as several.
#[derive(Debug)]
pub(crate) struct ReceiptPart {
    /// The index of the first of them in the original batch.
    pub(crate) first: u32,
    /// The receipt of the batch that they are in now.
    pub(crate) receipt: Arc<Receipt>,
    /// The index of the first of them in that batch.
    pub(crate) now: u32,
}

impl ReceiptPart {
    /// Returns the index in the new batch of the record that was at `index` before.
    fn index(&self, index: u32) -> u32 {
        index - self.first + self.now
    }
}

/// A task that waits for the outcome.
#[derive(Debug)]
struct WakerSlot {
    /// The waker of the task.
    waker: Waker,
    /// True if more than one delivery relies on the slot, so that none of them may change it.
    shared: bool,
}

/// The index that no waker has.
const NO_WAKER: u32 = u32::MAX;

impl Receipt {
    pub(crate) fn new(place: Arc<TopicPartition>) -> Arc<Self> {
        Arc::new(Self {
            place,
            fate: OnceLock::new(),
            wakers: Mutex::new(Vec::new()),
        })
    }

    /// Returns a new receipt for a part of this one's batch.
    pub(crate) fn part(&self) -> Arc<Self> {
        Self::new(self.place.clone())
    }

    /// Sets the outcome of the batch. Returns false if it had one already, which stays.
    pub(crate) fn settle(&self, fate: Fate) -> bool {
        if self.fate.set(fate).is_err() {
            return false;
        }
        let wakers = std::mem::take(&mut *self.wakers.lock());
        for slot in wakers {
            slot.waker.wake();
        }
        true
    }

    /// Returns true if the batch has its outcome. A split batch has one, even while its parts have
    /// none.
    pub(crate) fn is_settled(&self) -> bool {
        self.fate.get().is_some()
    }

    /// Returns true if the whole batch is in the log.
    #[inline]
    pub(crate) fn is_delivered(&self) -> bool {
        matches!(self.fate.get(), Some(Fate::Delivered { .. }))
    }

    /// Waits until the batch and all its parts have their outcome.
    pub(crate) async fn settled(self: Arc<Self>) {
        let mut open = vec![self];
        while let Some(receipt) = open.pop() {
            // The outcome of record 0 is known exactly when the batch, or its first part, has its
            // outcome.
            let _ = Delivery::new(receipt.clone(), 0).await;
            if let Some(Fate::Split(parts)) = receipt.fate.get() {
                open.extend(parts.iter().map(|part| part.receipt.clone()));
            }
        }
    }

    /// Waits for `count` records from index `first` on. Returns the first error among them.
    pub(crate) async fn all_delivered(self: Arc<Self>, first: u32, count: u32) -> Result<()> {
        let mut result = Delivery::new(self.clone(), first).await.map(drop);
        if self.is_delivered() {
            return result;
        }
        // The batch was given up, refused or split, so each record may have a different outcome.
        for index in first + 1..first + count {
            let outcome = Delivery::new(self.clone(), index).await;
            if result.is_ok() {
                result = outcome.map(drop);
            }
        }
        result
    }

    /// Returns the metadata of the record at `index`, in a batch whose first record has the offset
    /// `base`.
    #[inline]
    fn delivered(
        &self,
        index: u32,
        base: Option<Offset>,
        appended: Option<Timestamp>,
    ) -> RecordMetadata {
        RecordMetadata {
            topic: self.place.topic.clone(),
            partition: self.place.partition,
            offset: base.map(|base| base.plus(index)),
            timestamp: appended,
        }
    }

    /// Returns a record's outcome, if the batch has one and was not split.
    #[inline]
    pub(crate) fn outcome_if_whole(&self, index: u32) -> Option<Result<RecordMetadata>> {
        match self.fate.get()? {
            Fate::Split(_) => None,
            fate => Some(fate.of(self, index)),
        }
    }

    /// Stores a waker. Returns true if the outcome came meanwhile, in which case nothing was
    /// stored.
    ///
    /// Deliveries of one task share the newest slot. A delivery that moves to another task reuses
    /// its own slot, unless others rely on it.
    fn register(&self, at: &mut u32, waker: &Waker) -> bool {
        let mut slots = self.wakers.lock();
        // Invariant: `settle` sets the fate before it takes the lock, so it sees every waker stored
        // here.
        if self.fate.get().is_some() {
            return true;
        }
        if let Some(slot) = slots.get_mut(*at as usize) {
            if slot.waker.will_wake(waker) {
                return false;
            }
            if !slot.shared {
                slot.waker.clone_from(waker);
                return false;
            }
        }
        match slots.last_mut() {
            Some(last) if last.waker.will_wake(waker) => last.shared = true,
            _ => slots.push(WakerSlot {
                waker: waker.clone(),
                shared: false,
            }),
        }
        *at = u32::try_from(slots.len() - 1).unwrap_or(NO_WAKER);
        false
    }
}

impl Fate {
    /// Returns the outcome of the record at `index`.
    #[inline]
    fn of(&self, receipt: &Receipt, index: u32) -> Result<RecordMetadata> {
        match self {
            Self::Delivered { base, appended } => Ok(receipt.delivered(index, *base, *appended)),
            Self::Failed(error) => Err(error.clone()),
            Self::Refused { rest, each } => Err(each
                .iter()
                .find(|(at, _)| *at == index)
                .map_or(rest, |(_, error)| error)
                .clone()),
            // Callers follow the split before they ask.
            Self::Split(_) => Err(Error::new(
                milena_core::ErrorKind::State,
                "the batch was split",
            )),
        }
    }
}

/// Finds the part that holds the record at `index`. `parts` is sorted by `first`.
fn part_of(parts: &[ReceiptPart], index: u32) -> Option<&ReceiptPart> {
    let after = parts.partition_point(|part| part.first <= index);
    parts.get(after.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use milena_core::ErrorKind;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn receipt() -> Arc<Receipt> {
        Receipt::new(Arc::new(TopicPartition::new("orders", 3)))
    }

    fn poll(delivery: &mut Delivery, waker: &Arc<Count>) -> Poll<Result<RecordMetadata>> {
        let waker = Waker::from(waker.clone());
        Pin::new(delivery).poll(&mut Context::from_waker(&waker))
    }

    fn delivered(base: u32) -> Fate {
        Fate::Delivered {
            base: Some(Offset::from(base)),
            appended: None,
        }
    }

    #[test]
    fn each_record_has_the_offset_of_its_place() {
        let receipt = receipt();
        let delivery = Delivery::new(receipt.clone(), 4);
        assert!(delivery.outcome().is_none());
        assert!(receipt.settle(delivered(100)));
        let metadata = delivery.outcome().unwrap().unwrap();
        assert_eq!(metadata.offset, Some(Offset::from(104)));
        assert_eq!(metadata.topic, "orders");
    }

    #[test]
    fn a_batch_has_one_fate_only() {
        let receipt = receipt();
        assert!(receipt.settle(delivered(1)));
        assert!(!receipt.settle(Fate::Failed(Error::new(ErrorKind::Timeout, "late"))));
        assert!(
            Delivery::new(receipt, 0)
                .outcome()
                .is_some_and(|outcome| outcome.is_ok())
        );
    }

    #[test]
    fn deliveries_of_one_task_wake_it_once() {
        let receipt = receipt();
        let task = Arc::new(Count::default());
        let mut all: Vec<_> = (0..50)
            .map(|index| Delivery::new(receipt.clone(), index))
            .collect();
        for delivery in &mut all {
            assert!(poll(delivery, &task).is_pending());
            assert!(poll(delivery, &task).is_pending());
        }
        receipt.settle(delivered(0));
        assert_eq!(task.0.load(Ordering::SeqCst), 1);
        assert!(all.iter_mut().all(|one| poll(one, &task).is_ready()));
    }

    #[test]
    fn a_delivery_that_moves_between_tasks_wakes_the_latest_and_leaves_no_one_behind() {
        let receipt = receipt();
        let (one, two) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (mut moving, mut staying) = (
            Delivery::new(receipt.clone(), 0),
            Delivery::new(receipt.clone(), 1),
        );
        assert!(poll(&mut moving, &one).is_pending());
        assert!(poll(&mut staying, &one).is_pending());
        for _ in 0..10 {
            assert!(poll(&mut moving, &two).is_pending());
            assert!(poll(&mut staying, &one).is_pending());
        }
        assert!(receipt.wakers.lock().len() <= 3);
        receipt.settle(delivered(0));
        assert!(one.0.load(Ordering::SeqCst) >= 1);
        assert!(two.0.load(Ordering::SeqCst) >= 1);
    }

    #[test]
    fn a_split_batch_answers_each_record_from_its_part() {
        let whole = receipt();
        let (front, back) = (whole.part(), whole.part());
        let task = Arc::new(Count::default());
        let mut last = Delivery::new(whole.clone(), 9);
        assert!(poll(&mut last, &task).is_pending());
        let part = |first, receipt: &Arc<Receipt>| ReceiptPart {
            first,
            receipt: receipt.clone(),
            now: 0,
        };
        whole.settle(Fate::Split([part(0, &front), part(6, &back)].into()));
        assert!(poll(&mut last, &task).is_pending());
        back.settle(delivered(206));
        let Poll::Ready(Ok(metadata)) = poll(&mut last, &task) else {
            panic!("it is known");
        };
        assert_eq!(metadata.offset, Some(Offset::from(209)));
        assert!(Delivery::new(whole, 2).outcome().is_none());
        front.settle(delivered(200));
    }

    #[test]
    fn a_record_is_found_in_what_is_left_of_its_batch() {
        let (whole, out, rest) = (receipt(), receipt(), receipt());
        let part = |first, receipt: &Arc<Receipt>, now| ReceiptPart {
            first,
            receipt: receipt.clone(),
            now,
        };
        // Records 2 and 5 of 0 to 7 were taken out.
        let parts = [
            part(0, &rest, 0),
            part(2, &out, 2),
            part(3, &rest, 2),
            part(5, &out, 5),
            part(6, &rest, 4),
        ];
        whole.settle(Fate::Split(parts.into()));
        out.settle(Fate::Failed(Error::new(ErrorKind::State, "taken out")));
        rest.settle(delivered(100));
        let offsets = (0..8).map(|index| {
            let outcome = Delivery::new(whole.clone(), index).outcome().unwrap();
            outcome.ok().and_then(|metadata| metadata.offset)
        });
        let expected = [100_i64, 101, -1, 102, 103, -1, 104, 105];
        let expected = expected.map(Offset::from_wire);
        assert_eq!(offsets.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_refused_record_has_its_own_error() {
        let receipt = receipt();
        receipt.settle(Fate::Refused {
            rest: Error::new(ErrorKind::State, "others were refused"),
            each: [(1, Error::new(ErrorKind::State, "no key"))].into(),
        });
        let text = |index| {
            let outcome = Delivery::new(receipt.clone(), index).outcome();
            outcome.unwrap().unwrap_err().to_string()
        };
        assert_eq!(text(1), "no key");
        assert_eq!(text(2), "others were refused");
    }
}
