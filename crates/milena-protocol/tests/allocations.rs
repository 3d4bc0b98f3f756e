//! Counts that appending and reading records allocates per batch, and never per record.
#![allow(clippy::unwrap_used, reason = "tests may")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use milena_core::{HeadersRef, RecordHeader, Timestamp};
use milena_protocol::batch::{BatchBuilder, Batches};
use milena_protocol::compression::{self, Compression, DEFAULT_MAX_SIZE};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

#[expect(
    unsafe_code,
    reason = "an allocator cannot be written without; it hands every call to the system's"
)]
// SAFETY: every method passes its arguments on to `System`, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + size));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.get();
    let result = work();
    (COUNT.get() - before, result)
}

#[test]
fn appending_to_a_buffer_that_is_large_enough_allocates_nothing() {
    let headers = [RecordHeader {
        key: "trace".into(),
        value: Some("abc".into()),
    }];
    let mut open = BatchBuilder::with_capacity(1 << 20);
    let (allocations, ()) = count(|| {
        for index in 0..1_000 {
            let time = Timestamp::from_millis(1_700_000_000_000 + index);
            open.append(time, Some(b"key"), Some(&[7; 100]), HeadersRef::empty())
                .unwrap();
            open.append(time, None, Some(&[7; 100]), HeadersRef::list(&headers))
                .unwrap();
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn reading_a_batch_allocates_nothing_per_record() {
    let mut open = BatchBuilder::default();
    let headers = [RecordHeader {
        key: "trace".into(),
        value: None,
    }];
    for index in 0..1_000 {
        let time = Timestamp::from_millis(1_700_000_000_000 + index);
        open.append(
            time,
            Some(b"key"),
            Some(&[7; 100]),
            HeadersRef::list(&headers),
        )
        .unwrap();
    }
    let wire = open.seal(Compression::None).unwrap().0.to_bytes(None);
    let (views, read) = count(|| {
        let batch = Batches::new(wire.clone()).next().unwrap().unwrap();
        batch.verify_crc().unwrap();
        let records = batch.records(DEFAULT_MAX_SIZE).unwrap();
        records
            .iter()
            .map(|record| record.unwrap().headers.iter().count())
            .sum::<usize>()
    });
    assert_eq!(read, 1_000);
    assert!(
        views <= 1,
        "{views} allocations: the shared buffer's count at most"
    );
    let (owned, read) = count(|| {
        let batch = Batches::new(wire.clone()).next().unwrap().unwrap();
        batch
            .records(DEFAULT_MAX_SIZE)
            .unwrap()
            .owned()
            .map(|record| record.unwrap().value.unwrap().len())
            .sum::<usize>()
    });
    assert_eq!(read, 100_000);
    assert!(owned <= 1, "{owned} allocations");
}

#[test]
fn sealing_into_a_buffer_that_is_there_allocates_nothing_for_the_bytes_of_the_batch() {
    let mut spare = (vec![0; 1 << 20], vec![0; 1 << 20]);
    for compression in [
        Compression::LZ4,
        Compression::Snappy,
        Compression::GZIP,
        Compression::ZSTD,
    ] {
        if compression::check(compression).is_err() {
            continue;
        }
        for round in 0..4 {
            let mut open = BatchBuilder::with_buffer(spare.0);
            for index in 0..4_000_i64 {
                let time = Timestamp::from_millis(1_700_000_000_000 + index);
                let value = index.pow(3).to_string().repeat(8);
                open.append(time, None, Some(value.as_bytes()), HeadersRef::empty())
                    .unwrap();
            }
            let before = BYTES.get();
            let (sealed, back) = open.seal_into(compression, |_| spare.1).unwrap();
            let bytes = BYTES.get() - before;
            spare = (back.unwrap(), sealed.reclaim().unwrap());
            assert_eq!(spare.1.capacity(), 1 << 20, "{compression:?}");
            assert!(round < 2 || bytes < 1_000, "{compression:?}: {bytes} bytes");
        }
    }
}
