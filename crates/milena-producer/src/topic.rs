//! Topics on the callers' side: their partitions, found without a lock, and the choice among them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use milena_core::{
    Error, ErrorKind, Partition as Number, Persistence, Result, TopicName, TopicPartition,
};
use parking_lot::{Mutex, RwLock};

use crate::adaptive::{self, LOOKED_AT};
use crate::flow::{Flow, Flows};
use crate::limit::BatchLimit;
use crate::network::{Network, Shape};
use crate::partition::{Draft, Partition};
use crate::partitioner::{Choice, Partitioner, Partitioning};
use crate::ready::Ready;
use crate::sticky::{Slot, Sticky};

/// All topics that records were sent to.
pub(crate) struct Topics {
    by_name: RwLock<HashMap<TopicName, Arc<TopicState>>>,
    flows: Flows,
    slots: usize,
}

impl Topics {
    pub(crate) fn new(flows: Flows) -> Self {
        Self {
            by_name: RwLock::default(),
            flows,
            slots: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The state of a topic; made when it is asked for first.
    pub(crate) fn get(&self, name: &TopicName) -> Arc<TopicState> {
        if let Some(topic) = self.by_name.read().get(name) {
            return topic.clone();
        }
        let mut topics = self.by_name.write();
        let flow = self.flows.of(name);
        let make = || Arc::new(TopicState::new(name.clone(), flow.clone(), self.slots));
        topics.entry(name.clone()).or_insert_with(make).clone()
    }

    /// Takes over what the metadata says of all topics.
    pub(crate) fn refresh(&self, network: &dyn Network, ready: &Ready) {
        let topics: Vec<_> = self.by_name.read().values().cloned().collect();
        for topic in topics {
            if let Some(shape) = network.shape(&topic.name) {
                topic.take(&shape, ready);
            }
        }
    }
}

/// One topic.
pub(crate) struct TopicState {
    pub(crate) name: TopicName,
    pub(crate) flow: Arc<Flow>,
    partitions: Growing,
    /// How many of them the topic has: fewer than were seen where it was deleted and made again smaller.
    count: AtomicU32,
    /// The partitions that have a leader; all, where none has.
    available: ArcSwap<Vec<u32>>,
    sticky: Sticky,
    limit: Arc<BatchLimit>,
}

/// Where a record goes: decided once for it, and carried along through every wait.
///
/// A partitioner may keep a state, such as whose turn it is: asked twice for a record, it would skip partitions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route {
    /// The partition that the caller named.
    Named(u32),
    /// The partition that the partitioner chose.
    Chosen(u32),
    /// Where the caller's last records without a key went.
    Sticky,
    /// Nowhere, for the partitioner's reason.
    Refused(&'static str),
}

/// The partition for a record, and the slot that remembers it, where the record may go anywhere.
pub(crate) struct Chosen<'a> {
    pub(crate) partition: &'a Arc<Partition>,
    pub(crate) slot: Option<&'a Slot>,
}

impl TopicState {
    fn new(name: TopicName, flow: Arc<Flow>, slots: usize) -> Self {
        Self {
            name,
            flow,
            partitions: Growing::default(),
            count: AtomicU32::new(0),
            available: ArcSwap::default(),
            sticky: Sticky::new(slots, fastrand::usize(..1 << 16)),
            limit: Arc::default(),
        }
    }

    /// How many partitions are known; 0 before the metadata came.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Takes over what the metadata says; a topic that is without partitions for a moment keeps those it had.
    pub(crate) fn take(&self, shape: &Shape, ready: &Ready) {
        if shape.led.is_empty() {
            return;
        }
        let all = 0..u32::try_from(shape.led.len()).unwrap_or(u32::MAX);
        let led = all.clone().zip(&shape.led).filter(|(_, led)| **led);
        let mut available: Vec<u32> = led.map(|(partition, _)| partition).collect();
        if available.is_empty() {
            available.extend(all.clone());
        }
        self.partitions.grow(all.end, |number| {
            // The cluster has confirmed the name, and each record's metadata carries it.
            let place = TopicPartition::new(self.name.keep(), Number::new(number));
            ready.register(|id| Partition::new(place, id, self.flow.clone(), self.limit.clone()))
        });
        self.available.store(Arc::new(available));
        self.count.store(all.end, Ordering::Release);
    }

    /// A partition that the topic has.
    #[inline(always)]
    fn partition(&self, number: u32, count: u32) -> Option<&Arc<Partition>> {
        if number >= count {
            return None;
        }
        self.partitions.get(number)
    }

    /// Decides where a record goes; `named` is the partition that the caller named.
    ///
    /// The only place that asks the partitioner: call it once for each record.
    #[inline(always)]
    pub(crate) fn decide(&self, record: &Draft<'_>, named: Option<Number>) -> Route {
        match named {
            Some(number) => Route::Named(number.to_wire().unsigned_abs()),
            None => self.decide_by(&*self.flow.partitioner, record),
        }
    }

    #[inline(always)]
    fn decide_by(&self, partitioner: &dyn Partitioner, record: &Draft<'_>) -> Route {
        let choice = partitioner.choose(&Partitioning {
            topic: &self.name,
            key: record.key,
            value: record.value,
            partitions: self.count(),
        });
        match choice {
            Choice::Sticky => Route::Sticky,
            Choice::Partition(number) => Route::Chosen(number),
            Choice::Random => Route::Chosen(self.draw()),
            Choice::Refuse(reason) => Route::Refused(reason),
        }
    }

    /// Finds the partition of a decided route.
    #[inline(always)]
    pub(crate) fn find(&self, route: Route) -> Result<Chosen<'_>> {
        let partitions = self.count();
        let (number, named) = match route {
            Route::Sticky => {
                let slot = self.sticky.slot();
                let known = slot.and_then(Slot::partition);
                return match known.and_then(|number| self.partition(number, partitions)) {
                    Some(partition) => Ok(Chosen { partition, slot }),
                    None => self.move_on(slot),
                };
            }
            Route::Chosen(number) => (number, false),
            Route::Named(number) => (number, true),
            Route::Refused(reason) => return Err(self.refused(reason)),
        };
        match self.partition(number, partitions) {
            Some(partition) => Ok(Chosen {
                partition,
                slot: None,
            }),
            None => Err(self.no_partition(number, named)),
        }
    }

    /// Draws one of those that have a leader.
    #[inline(never)]
    fn draw(&self) -> u32 {
        let available = self.available.load();
        let drawn = fastrand::usize(..available.len().max(1));
        available.get(drawn).copied().unwrap_or(0)
    }

    #[cold]
    fn refused(&self, reason: &'static str) -> Error {
        Error::new(ErrorKind::Config, reason)
            .topic(self.name.clone())
            .setting("partitioner.class")
            .with_persistence(Persistence::NotWritten)
    }

    /// Chooses the next partition for a caller whose share is used up.
    pub(crate) fn move_on<'a>(&'a self, slot: Option<&'a Slot>) -> Result<Chosen<'a>> {
        let available = self.available.load();
        let number = match self.lighter(&available) {
            Some(number) => number,
            None => self.sticky.next(&available).unwrap_or(0),
        };
        if let Some(slot) = slot {
            slot.stick_to(number);
        }
        match self.partitions.get(number) {
            Some(partition) => Ok(Chosen { partition, slot }),
            None => Err(self.no_partition(number, false)),
        }
    }

    /// One of those for which less waits than for others.
    fn lighter(&self, available: &[u32]) -> Option<u32> {
        let spread = self.flow.spread;
        if !spread.adaptive || available.len() < 2 {
            return None;
        }
        let looked_at = available.len().min(LOOKED_AT);
        let first = self.sticky.peek() % available.len();
        let turn = available.iter().cycle().skip(first).take(looked_at);
        let backlogs = turn.clone().map(|number| {
            let partition = self.partitions.get(*number)?;
            partition.backlog.read(spread.availability)
        });
        let at = adaptive::pick(backlogs, |below| fastrand::u64(..below))?;
        turn.clone().nth(at).copied()
    }

    /// Whether a caller may leave a partition for another when its batch ends.
    #[inline]
    pub(crate) fn may_leave(&self, chosen: &Chosen<'_>) -> bool {
        chosen.slot.is_some_and(Slot::is_spent) && self.count() > 1
    }

    #[cold]
    fn no_partition(&self, number: u32, named: bool) -> Error {
        let who = if named {
            "the record names"
        } else {
            "the partitioner chose"
        };
        let what = format!("{who} partition {number} of {} partitions", self.count());
        Error::new(ErrorKind::Config, what)
            .topic(self.name.clone())
            .with_persistence(Persistence::NotWritten)
    }
}

/// A list of partitions that only grows, read without a lock: each growth is a chunk behind the last.
#[derive(Default)]
struct Growing {
    first: OnceLock<Chunk>,
    len: AtomicU32,
    growing: Mutex<()>,
}

struct Chunk {
    from: u32,
    items: Box<[Arc<Partition>]>,
    next: OnceLock<Box<Chunk>>,
}

impl Growing {
    #[inline(always)]
    fn get(&self, at: u32) -> Option<&Arc<Partition>> {
        let mut chunk = self.first.get()?;
        loop {
            let index = at.checked_sub(chunk.from)? as usize;
            match chunk.items.get(index) {
                Some(item) => return Some(item),
                None => chunk = chunk.next.get()?,
            }
        }
    }

    fn grow(&self, len: u32, make: impl FnMut(u32) -> Arc<Partition>) {
        let _one_at_a_time = self.growing.lock();
        let from = self.len.load(Ordering::Acquire);
        if len <= from {
            return;
        }
        let chunk = Chunk {
            from,
            items: (from..len).map(make).collect(),
            next: OnceLock::new(),
        };
        match self.first.get() {
            None => drop(self.first.set(chunk)),
            Some(mut last) => {
                while let Some(next) = last.next.get() {
                    last = next;
                }
                drop(last.next.set(Box::new(chunk)));
            }
        }
        self.len.store(len, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use milena_core::HeadersRef;

    use super::*;
    use crate::partitioner::Murmur2;
    use crate::settings::Draft as SettingsDraft;
    use crate::sticky::SHARE;

    fn topic(led: &[bool]) -> (TopicState, Ready) {
        let ready = Ready::default();
        let flow = SettingsDraft::default()
            .check()
            .unwrap()
            .flows
            .usual()
            .clone();
        let topic = TopicState::new("orders".into(), flow, 1);
        topic.take(&Shape { led: led.to_vec() }, &ready);
        (topic, ready)
    }

    impl TopicState {
        fn choose_by(
            &self,
            partitioner: &dyn Partitioner,
            record: &Draft<'_>,
            named: Option<Number>,
        ) -> Result<Chosen<'_>> {
            let named = named.map(|number| Route::Named(number.to_wire().unsigned_abs()));
            self.find(named.unwrap_or_else(|| self.decide_by(partitioner, record)))
        }
    }

    fn number(chosen: &Chosen<'_>) -> u32 {
        chosen.partition.place.partition.to_wire().unsigned_abs()
    }

    fn keyless(value: &[u8]) -> Draft<'_> {
        Draft::new(None, Some(value), HeadersRef::empty(), None)
    }

    #[test]
    fn a_topic_that_grows_keeps_its_partitions() {
        let (topic, ready) = topic(&[true, true]);
        let before = topic.partitions.get(1).unwrap().clone();
        for count in [3, 3, 10] {
            topic.take(
                &Shape {
                    led: vec![true; count],
                },
                &ready,
            );
        }
        assert!(Arc::ptr_eq(&before, topic.partitions.get(1).unwrap()));
        assert_eq!(topic.count(), 10);
        assert_eq!(topic.partitions.get(9).unwrap().id, 9);
        assert!(topic.partitions.get(10).is_none());
    }

    #[test]
    fn a_topic_made_again_smaller_is_used_within_its_size() {
        let (topic, ready) = topic(&[true; 4]);
        let slot = topic
            .choose_by(&Murmur2, &keyless(b"v"), None)
            .unwrap()
            .slot;
        slot.unwrap().stick_to(3);
        topic.take(&Shape { led: Vec::new() }, &ready);
        assert_eq!(topic.count(), 4, "it is only gone for a moment");
        topic.take(&Shape { led: vec![true; 2] }, &ready);
        assert_eq!(topic.count(), 2);
        let chosen = topic.choose_by(&Murmur2, &keyless(b"v"), None).unwrap();
        assert!(number(&chosen) < 2);
        assert!(
            topic
                .choose_by(&Murmur2, &keyless(b"v"), Some(Number::new(3)))
                .is_err()
        );
        topic.take(&Shape { led: vec![true; 3] }, &ready);
        let named = topic.choose_by(&Murmur2, &keyless(b"v"), Some(Number::new(2)));
        assert_eq!(
            named.unwrap_or_else(|_| panic!("it is back")).partition.id,
            2
        );
    }

    #[test]
    fn records_without_a_key_stay_and_then_take_turns_among_led_partitions() {
        let (topic, _ready) = topic(&[true, false, true]);
        let first = topic.choose_by(&Murmur2, &keyless(b"v"), None).unwrap();
        let again = topic.choose_by(&Murmur2, &keyless(b"v"), None).unwrap();
        assert_eq!(number(&first), number(&again));
        assert!(!topic.may_leave(&again));
        again.slot.unwrap().route(SHARE);
        assert!(topic.may_leave(&again));
        let mut seen = [0; 3];
        for _ in 0..10 {
            seen[number(&topic.move_on(again.slot).unwrap()) as usize] += 1;
        }
        assert_eq!(seen, [5, 0, 5]);
    }

    #[test]
    fn a_random_choice_meets_every_led_partition_and_no_other() {
        let (topic, _ready) = topic(&[true, false, true]);
        let random = |_: &Partitioning<'_>| Choice::Random;
        let mut seen = [0; 3];
        for _ in 0..200 {
            let chosen = topic.choose_by(&random, &keyless(b"v"), None).unwrap();
            seen[number(&chosen) as usize] += 1;
        }
        assert!(seen[0] > 50 && seen[1] == 0 && seen[2] > 50, "{seen:?}");
    }

    #[test]
    fn a_refusal_names_topic_and_setting() {
        let (topic, _ready) = topic(&[true]);
        let Err(error) = topic.choose_by(&crate::partitioner::Manual, &keyless(b"v"), None) else {
            panic!("no partition is named");
        };
        let text = error.to_string();
        assert!(
            text.contains("orders") && text.contains("partitioner.class"),
            "{text}"
        );
        let named = topic.choose_by(
            &crate::partitioner::Manual,
            &keyless(b"v"),
            Some(Number::new(0)),
        );
        assert_eq!(number(&named.unwrap_or_else(|_| panic!("it is named"))), 0);
    }

    #[test]
    fn a_partition_that_is_not_there_is_named() {
        let (topic, _ready) = topic(&[true]);
        let Err(error) = topic.choose_by(&Murmur2, &keyless(b"v"), Some(Number::new(7))) else {
            panic!("there is only partition 0");
        };
        let text = error.to_string();
        assert!(
            text.contains("partition 7 of 1") && text.contains("orders"),
            "{text}"
        );
        let odd = |_: &Partitioning<'_>| Choice::Partition(3);
        assert!(topic.choose_by(&odd, &keyless(b"v"), None).is_err());
    }
}
