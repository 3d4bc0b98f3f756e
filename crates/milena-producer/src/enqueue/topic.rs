//! Topics on the callers' side. Their partitions are found without a lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use milena_core::{
    Error, ErrorKind, Partition as Number, Persistence, Result, TopicName, TopicPartition,
};
use parking_lot::{Mutex, RwLock};

use crate::enqueue::adaptive::{self, LOOKED_AT};
use crate::enqueue::draft::RecordDraft;
use crate::enqueue::limit::BatchLimit;
use crate::enqueue::partition::Partition;
use crate::enqueue::registry::Registry;
use crate::enqueue::sticky::{Slot, Sticky};
use crate::flow::{Flow, Flows};
use crate::network::{Network, Shape};
use crate::partitioner::{Choice, Partitioner, Partitioning};

/// All topics that records were sent to.
pub(crate) struct Topics {
    /// The topics by name. Entries are never removed.
    by_name: RwLock<HashMap<TopicName, Arc<TopicState>>>,
    /// All partitions of all topics, and the end of the producer.
    registry: Registry,
    /// The settings of each topic.
    flows: Flows,
    /// The slots for sticky choices per topic, one per core.
    slots: usize,
}

impl Topics {
    pub(crate) fn new(flows: Flows) -> Self {
        Self {
            by_name: RwLock::default(),
            registry: Registry::default(),
            flows,
            slots: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Returns the state of a topic, and creates it on the first call for its name.
    pub(crate) fn get(&self, name: &TopicName) -> Arc<TopicState> {
        if let Some(topic) = self.by_name.read().get(name) {
            return topic.clone();
        }
        let mut topics = self.by_name.write();
        let flow = self.flows.of(name);
        let make = || Arc::new(TopicState::new(name.clone(), flow.clone(), self.slots));
        topics.entry(name.clone()).or_insert_with(make).clone()
    }

    /// Returns all partitions of all topics, and the end of the producer.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Updates all topics from the metadata.
    pub(crate) fn refresh(&self, network: &dyn Network) {
        let topics: Vec<_> = self.by_name.read().values().cloned().collect();
        for topic in topics {
            if let Some(shape) = network.shape(&topic.name) {
                topic.take(&shape, &self.registry);
            }
        }
    }
}

/// One topic. It lives as long as the producer.
pub(crate) struct TopicState {
    /// The topic's name.
    pub(crate) name: TopicName,
    /// The settings of the topic.
    pub(crate) flow: Arc<Flow>,
    /// All partitions that the topic ever had. It never shrinks.
    partitions: Growing,
    /// The count of partitions that the topic has. It is less than the length of `partitions` after
    /// the topic was deleted and created again with fewer. 0 before the first metadata.
    count: AtomicU32,
    /// The partitions that have a leader, or all if none has one.
    available: ArcSwap<Vec<u32>>,
    /// The sticky choices of callers for records without a key.
    sticky: Sticky,
    /// The largest batch that the topic's brokers accept, as learned from refusals.
    limit: Arc<BatchLimit>,
}

/// The destination of a record, decided once and kept through every wait.
///
/// A partitioner may keep state, such as a turn. If it were asked twice for a record, it would skip
/// partitions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route {
    /// The partition that the caller named.
    Named(u32),
    /// The partition that the partitioner chose.
    Chosen(u32),
    /// The partition of the caller's last records without a key.
    Sticky,
    /// None. The record is refused for the partitioner's reason.
    Refused(&'static str),
}

/// The partition for a record. If the record may go to any partition, also the slot that remembers
/// the choice.
pub(crate) struct Chosen<'a> {
    /// The partition.
    pub(crate) partition: &'a Arc<Partition>,
    /// The caller's slot. `None` if the record may go to this partition only.
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

    /// Returns the count of known partitions. 0 before the metadata came.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Updates the partitions from the metadata. A topic that has no partitions for a moment keeps
    /// those it had.
    pub(crate) fn take(&self, shape: &Shape, registry: &Registry) {
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
            // `keep` interns the name. The cluster has confirmed it, and each record's metadata
            // carries it.
            let place = TopicPartition::new(self.name.keep(), Number::new(number));
            registry.register(|id| Partition::new(place, id, self.flow.clone(), self.limit.clone()))
        });
        self.available.store(Arc::new(available));
        self.count.store(all.end, Ordering::Release);
    }

    /// Returns a partition that the topic has.
    #[inline(always)]
    fn partition(&self, number: u32, count: u32) -> Option<&Arc<Partition>> {
        if number >= count {
            return None;
        }
        self.partitions.get(number)
    }

    /// Decides where a record goes. `named` is the partition that the caller named.
    ///
    /// Nothing else asks the partitioner. Call it once for each record.
    #[inline(always)]
    pub(crate) fn decide(&self, record: &RecordDraft<'_>, named: Option<Number>) -> Route {
        match named {
            Some(number) => Route::Named(number.to_wire().unsigned_abs()),
            None => self.decide_by(&*self.flow.partitioner, record),
        }
    }

    /// Asks `partitioner` where a record goes.
    #[inline(always)]
    fn decide_by(&self, partitioner: &dyn Partitioner, record: &RecordDraft<'_>) -> Route {
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

    /// Draws one of the partitions that have a leader.
    #[inline(never)]
    fn draw(&self) -> u32 {
        let available = self.available.load();
        let drawn = fastrand::usize(..available.len().max(1));
        available.get(drawn).copied().unwrap_or(0)
    }

    /// Returns the error of a record that the partitioner refused.
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

    /// Picks a partition by how little waits for it. `None` if all wait alike or adaptive
    /// partitioning is off.
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

    /// Returns true if a caller may go on to another partition when its batch ends.
    #[inline]
    pub(crate) fn may_leave(&self, chosen: &Chosen<'_>) -> bool {
        chosen.slot.is_some_and(Slot::is_spent) && self.count() > 1
    }

    /// Returns the error of a record for a partition that the topic does not have.
    #[cold]
    fn no_partition(&self, number: u32, named: bool) -> Error {
        let who = if named {
            "the record names"
        } else {
            "the partitioner chose"
        };
        let what = format!(
            "{who} partition {number}, but the topic's partition count is {}; numbers start at 0",
            self.count()
        );
        Error::new(ErrorKind::Config, what)
            .topic(self.name.clone())
            .with_persistence(Persistence::NotWritten)
    }
}

/// A list of partitions that only grows and is read without a lock. Each growth adds a chunk behind
/// the last one.
#[derive(Default)]
struct Growing {
    /// The first chunk. Empty before the first growth.
    first: OnceLock<Chunk>,
    /// The count of items in all chunks.
    len: AtomicU32,
    /// Held while a chunk is added, so that one thread adds at a time.
    growing: Mutex<()>,
}

/// The items of one growth.
struct Chunk {
    /// The index of its first item in the whole list.
    from: u32,
    /// The items. They never change.
    items: Box<[Arc<Partition>]>,
    /// The chunk behind this one, once there is one.
    next: OnceLock<Box<Chunk>>,
}

impl Growing {
    /// Returns the item at an index.
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

    /// Adds items until there are `len`. `make` gets the index of each.
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
    use crate::enqueue::sticky::SHARE;
    use crate::partitioner::Murmur2;
    use crate::settings::SettingsDraft;

    fn topic(led: &[bool]) -> (TopicState, Registry) {
        let registry = Registry::default();
        let flow = SettingsDraft::default()
            .check()
            .unwrap()
            .flows
            .usual()
            .clone();
        let topic = TopicState::new("orders".into(), flow, 1);
        topic.take(&Shape { led: led.to_vec() }, &registry);
        (topic, registry)
    }

    impl TopicState {
        fn choose_by(
            &self,
            partitioner: &dyn Partitioner,
            record: &RecordDraft<'_>,
            named: Option<Number>,
        ) -> Result<Chosen<'_>> {
            let named = named.map(|number| Route::Named(number.to_wire().unsigned_abs()));
            self.find(named.unwrap_or_else(|| self.decide_by(partitioner, record)))
        }
    }

    fn number(chosen: &Chosen<'_>) -> u32 {
        chosen.partition.place.partition.to_wire().unsigned_abs()
    }

    fn keyless(value: &[u8]) -> RecordDraft<'_> {
        RecordDraft::new(None, Some(value), HeadersRef::empty(), None)
    }

    #[test]
    fn a_topic_that_grows_keeps_its_partitions() {
        let (topic, registry) = topic(&[true, true]);
        let before = topic.partitions.get(1).unwrap().clone();
        for count in [3, 3, 10] {
            topic.take(
                &Shape {
                    led: vec![true; count],
                },
                &registry,
            );
        }
        assert!(Arc::ptr_eq(&before, topic.partitions.get(1).unwrap()));
        assert_eq!(topic.count(), 10);
        assert_eq!(topic.partitions.get(9).unwrap().id, 9);
        assert!(topic.partitions.get(10).is_none());
    }

    #[test]
    fn a_topic_made_again_smaller_is_used_within_its_size() {
        let (topic, registry) = topic(&[true; 4]);
        let slot = topic
            .choose_by(&Murmur2, &keyless(b"v"), None)
            .unwrap()
            .slot;
        slot.unwrap().stick_to(3);
        topic.take(&Shape { led: Vec::new() }, &registry);
        assert_eq!(topic.count(), 4, "it is only gone for a moment");
        topic.take(&Shape { led: vec![true; 2] }, &registry);
        assert_eq!(topic.count(), 2);
        let chosen = topic.choose_by(&Murmur2, &keyless(b"v"), None).unwrap();
        assert!(number(&chosen) < 2);
        assert!(
            topic
                .choose_by(&Murmur2, &keyless(b"v"), Some(Number::new(3)))
                .is_err()
        );
        topic.take(&Shape { led: vec![true; 3] }, &registry);
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
            text.contains("partition 7") && text.contains("count is 1") && text.contains("orders"),
            "{text}"
        );
        let odd = |_: &Partitioning<'_>| Choice::Partition(3);
        assert!(topic.choose_by(&odd, &keyless(b"v"), None).is_err());
    }
}
