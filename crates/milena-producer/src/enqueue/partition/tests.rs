//! Placing records, with the limits of room and memory, and the time of each record.

use std::sync::atomic::AtomicI64;

use milena_core::{ErrorKind, HeadersRef};

use super::*;
use crate::enqueue::bell::Bell;
use crate::enqueue::memory::{Budget, Buffers};
use crate::enqueue::tick::Tick;

fn shared(memory: usize, batch_size: usize) -> Shared {
    Shared {
        budget: Budget::new(memory),
        buffers: Buffers::new(1024, batch_size, memory),
        bell: Bell::default(),
        clock: Arc::new(Timestamp::now),
        tick: Tick::default(),
    }
}

/// Returns a shared and two numbers. The first counts the reads of its clock, and the second is the
/// time that it shows.
fn clocked(now: i64) -> (Shared, Arc<[AtomicI64; 2]>) {
    let clock = Arc::new([AtomicI64::new(0), AtomicI64::new(now)]);
    let mut shared = shared(1 << 20, 4096);
    let read = clock.clone();
    shared.clock = Arc::new(move || {
        read[0].fetch_add(1, Ordering::Relaxed);
        Timestamp::from_millis(read[1].load(Ordering::Relaxed))
    });
    (shared, clock)
}

/// Returns the time of a record as a partition asks for it.
fn read(time: &mut CoarseTime, shared: &Shared) -> Timestamp {
    match time.share(shared) {
        Some(now) => now,
        None => time.take(ClockRead::new(shared), shared),
    }
}

fn partition(batch_size: usize) -> Partition {
    partition_of(|draft| draft.batching.bytes = Some(batch_size))
}

fn partition_of(set: impl FnOnce(&mut crate::settings::SettingsDraft)) -> Partition {
    let mut draft = crate::settings::SettingsDraft::default();
    set(&mut draft);
    let flow = draft.check().unwrap().flows.usual().clone();
    Partition::new(TopicPartition::new("orders", 0), 0, flow, Arc::default())
}

fn draft(value: &[u8]) -> RecordDraft<'_> {
    RecordDraft::new(None, Some(value), HeadersRef::empty(), None)
}

fn place(partition: &Partition, shared: &Shared, value: &[u8]) -> Result<Placed> {
    partition.place(&draft(value), shared, &mut None, false)
}

#[test]
fn a_batch_grows_until_it_is_full_and_the_next_one_starts_as_large() {
    let (shared, partition) = (shared(1 << 20, 4096), partition(4096));
    let mut full = Vec::new();
    while full.is_empty() {
        assert!(matches!(
            place(&partition, &shared, &[7; 100]),
            Ok(Placed::Here(_))
        ));
        partition.collect(&mut full);
    }
    let first = full.pop().unwrap();
    assert!(first.builder.wire_len() <= 4096 && first.builder.wire_len() > 3800);
    assert_eq!(first.charge.bytes(), 4096);
    let second = partition.take_open().unwrap();
    assert_eq!((second.builder.count(), second.charge.bytes()), (1, 4096));
    drop((first, second));
    assert_eq!(shared.budget.used(), 0);
}

#[test]
fn batches_that_grow_leave_no_more_buffers_behind_than_they_need_at_once() {
    let (shared, partition) = (shared(1 << 20, 64 << 10), partition(64 << 10));
    for large in [true, false].repeat(20) {
        let mut values = 0..if large { 500 } else { 5 };
        values
            .try_for_each(|_| place(&partition, &shared, &[7; 100]).map(drop))
            .unwrap();
        let batch = partition.take_open().unwrap();
        let (sealed, _) = batch
            .builder
            .seal(milena_protocol::compression::Compression::None)
            .unwrap();
        drop(batch.charge);
        shared
            .buffers
            .give(sealed.reclaim().unwrap(), shared.budget.used());
    }
    assert!(
        shared.buffers.kept() <= 128 << 10,
        "{}",
        shared.buffers.kept()
    );
}

#[test]
fn a_batch_that_fills_after_the_sender_looked_is_taken_before_the_one_behind_it() {
    let (shared, partition) = (shared(1 << 20, 1024), partition(1024));
    place(&partition, &shared, b"first").unwrap();
    assert!(partition.collect(&mut Vec::new()).is_some());
    place(&partition, &shared, &[7; 1000]).unwrap();
    let taken = partition.take_open().unwrap();
    assert!(
        taken.builder.wire_len() < 500,
        "the one with the first record"
    );
    let behind = partition.take_open().unwrap();
    assert!(behind.builder.wire_len() > 1000);
    assert!(partition.take_open().is_none());
}

#[test]
fn a_full_budget_asks_for_memory_and_a_spare_charge_serves() {
    let (shared, partition) = (shared(2048, 1024), partition(1024));
    let held = shared.budget.try_take(2048).unwrap();
    let Ok(Placed::NeedsMemory(bytes)) = place(&partition, &shared, b"v") else {
        panic!("nothing is free");
    };
    drop(held);
    let mut spare = shared.budget.try_take(bytes);
    let placed = partition.place(&draft(b"v"), &shared, &mut spare, false);
    assert!(matches!(placed, Ok(Placed::Here(_))) && spare.is_none());
    assert_eq!(shared.budget.used(), bytes);
}

#[test]
fn a_record_over_the_batch_size_goes_alone() {
    let (shared, partition) = (shared(1 << 20, 1024), partition(1024));
    let large = vec![1; 5000];
    assert!(matches!(
        place(&partition, &shared, &large),
        Ok(Placed::Here(_))
    ));
    assert!(matches!(
        place(&partition, &shared, b"small"),
        Ok(Placed::Here(_))
    ));
    let mut full = Vec::new();
    assert!(partition.collect(&mut full).is_some());
    assert_eq!(full.iter().map(|one| one.builder.count()).sum::<u32>(), 1);
    assert!(full[0].charge.bytes() >= 5000);
}

#[test]
fn the_sender_hears_of_a_partition_once_until_it_looks() {
    let (shared, partition) = (shared(1 << 20, 1024), partition(1024));
    for _ in 0..100 {
        place(&partition, &shared, &[0; 100]).unwrap();
    }
    let mut heard = Vec::new();
    shared.bell.drain(&mut heard);
    assert_eq!(heard, [0]);
    let mut full = Vec::new();
    assert!(partition.collect(&mut full).is_some());
    assert!(full.len() > 5);
    place(&partition, &shared, b"joins the open batch").unwrap();
    heard.clear();
    shared.bell.drain(&mut heard);
    assert!(heard.is_empty());
}

#[test]
fn a_caller_that_may_leave_does_so_only_where_a_batch_ended() {
    let (shared, partition) = (shared(1 << 20, 1024), partition(1024));
    let try_place = || partition.place(&draft(&[0; 300]), &shared, &mut None, true);
    assert!(matches!(try_place(), Ok(Placed::Elsewhere)));
    place(&partition, &shared, b"opens a batch").unwrap();
    assert!(matches!(try_place(), Ok(Placed::Here(_))));
    assert!(matches!(try_place(), Ok(Placed::Here(_))));
    assert!(matches!(try_place(), Ok(Placed::Elsewhere)));
}

#[test]
fn a_closed_partition_refuses() {
    let (shared, partition) = (shared(1 << 20, 1024), partition(1024));
    partition.close(&Error::new(ErrorKind::Closed, "closed"));
    let error = place(&partition, &shared, b"v").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[test]
fn slow_records_have_their_own_time_and_quick_ones_share_a_read() {
    let (shared, clock) = clocked(1_000);
    let mut time = CoarseTime::default();
    for _ in 0..1_000 {
        read(&mut time, &shared);
    }
    assert!(clock[0].load(Ordering::Relaxed) < 50);
    time.refresh();
    for _ in 0..20 {
        let now = clock[1].fetch_add(50, Ordering::Relaxed) + 50;
        assert_eq!(read(&mut time, &shared).to_millis(), now);
    }
}

#[test]
fn a_record_after_the_tick_moved_on_does_not_have_the_time_of_the_burst_before_it() {
    let (shared, clock) = clocked(1_000);
    let mut time = CoarseTime::default();
    for _ in 0..64 {
        read(&mut time, &shared);
    }
    // The sender runs after the burst, and again a millisecond later.
    let (mut due, start) = (None, Instant::now());
    let again = shared.tick.turn(&mut due, start).unwrap();
    assert!(again - start <= std::time::Duration::from_millis(1));
    shared.tick.turn(&mut due, again);
    clock[1].fetch_add(5_000, Ordering::Relaxed);
    assert_eq!(read(&mut time, &shared).to_millis(), 6_000);
}

#[test]
fn no_batch_of_several_records_is_over_a_batch_size_that_is_no_power_of_two() {
    for batch_size in [700, 1_500, 3_000, 100_000, 300_000] {
        let (shared, partition) = (shared(4 << 20, 1 << 20), partition(batch_size));
        let mut full = Vec::new();
        while full.len() < 3 {
            place(&partition, &shared, &[7; 90]).unwrap();
            partition.collect(&mut full);
        }
        for batch in full {
            let len = batch.builder.wire_len();
            assert!(len <= batch_size, "{len} of {batch_size}");
            assert!(len + 250 > batch_size, "{len} of {batch_size}");
        }
    }
}

#[test]
fn a_batch_size_that_was_learned_holds_for_the_next_batches() {
    let (shared, partition) = (shared(1 << 20, 8192), partition(8192));
    assert!(partition.limit.refused(8000, Instant::now()));
    let mut full = Vec::new();
    while full.len() < 3 {
        place(&partition, &shared, &[7; 90]).unwrap();
        partition.collect(&mut full);
    }
    assert!(full.iter().all(|batch| batch.builder.wire_len() <= 4000));
}

#[test]
fn a_batch_ends_with_the_last_record_that_it_may_have() {
    let shared = shared(1 << 20, 4096);
    let partition = partition_of(|draft| draft.batching.records = Some(3));
    for _ in 0..7 {
        assert!(matches!(
            place(&partition, &shared, b"v"),
            Ok(Placed::Here(_))
        ));
    }
    let mut full = Vec::new();
    assert!(partition.collect(&mut full).is_some());
    let counts: Vec<_> = full.iter().map(|batch| batch.builder.count()).collect();
    assert_eq!(counts, [3, 3]);
    assert_eq!(
        partition.take_open().map(|batch| batch.builder.count()),
        Some(1)
    );
}

#[test]
fn a_batch_of_one_record_is_full_at_once_and_announced() {
    let shared = shared(1 << 20, 4096);
    let partition = partition_of(|draft| draft.batching.records = Some(1));
    assert!(matches!(
        place(&partition, &shared, b"v"),
        Ok(Placed::Here(_))
    ));
    let mut news = Vec::new();
    shared.bell.drain(&mut news);
    assert_eq!(news, [0]);
    let mut full = Vec::new();
    assert!(partition.collect(&mut full).is_none());
    assert_eq!(full.len(), 1);
}
