//! What a worker did, in a file that outlives it: entries of one size, each written whole by one call before the worker goes on.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

/// One line of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) what: What,
    pub(super) partition: u16,
    /// The record's number as its value tells it; 0 where nobody has read it.
    pub(super) number: u32,
    pub(super) offset: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A record came to the stack.
    Taken = 1,
    /// Its handler has done it and is about to say so.
    Done,
    /// Its dead letter is acknowledged by the broker.
    Dead,
    /// An attempt failed on purpose; there is to be another.
    Failed,
    /// An attempt failed because the dependency is down.
    Down,
    /// The dependency died.
    Died,
    /// It came back.
    Back,
    /// The breaker opened.
    Opened,
    /// The breaker paused a partition.
    Paused,
    /// The group gave the worker up, though nobody killed it.
    Lost,
    /// The worker closed in good order.
    Closed,
}

impl Entry {
    /// What happened to a record, or to its partition.
    pub(super) fn new(what: What, partition: usize, offset: i64) -> Self {
        Self {
            what,
            partition: u16::try_from(partition).unwrap(),
            number: 0,
            offset: u64::try_from(offset).unwrap(),
        }
    }

    pub(super) fn number(self, number: u32) -> Self {
        Self { number, ..self }
    }

    fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[0] = self.what as u8;
        bytes[1] = MARK;
        bytes[2..4].copy_from_slice(&self.partition.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..].copy_from_slice(&self.offset.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; SIZE]) -> Self {
        assert_eq!(bytes[1], MARK, "this is no entry: {bytes:?}");
        let all = [
            What::Taken,
            What::Done,
            What::Dead,
            What::Failed,
            What::Down,
            What::Died,
            What::Back,
            What::Opened,
            What::Paused,
            What::Lost,
            What::Closed,
        ];
        Self {
            what: all[usize::from(bytes[0]) - 1],
            partition: u16::from_le_bytes(bytes[2..4].try_into().unwrap()),
            number: u32::from_le_bytes(bytes[4..8].try_into().unwrap()),
            offset: u64::from_le_bytes(bytes[8..].try_into().unwrap()),
        }
    }
}

/// The worker's end.
pub(super) struct Writer(File);

impl Writer {
    pub(super) fn open(path: &Path) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(path);
        Self(file.unwrap())
    }

    /// Once this returns, the entry is seen by whoever reads the file, even where this process is killed at once.
    pub(super) fn write(&self, entry: Entry) {
        // Invariant: an entry lies within one page, so that a killed process leaves a whole one or none.
        let written = (&self.0).write(&entry.to_bytes()).unwrap();
        assert_eq!(written, SIZE);
    }
}

/// The parent's end.
pub(super) struct Reader {
    file: File,
    buffer: Vec<u8>,
}

impl Reader {
    pub(super) fn create(path: &Path) -> Self {
        let options = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .open(path);
        Self {
            file: options.unwrap(),
            buffer: vec![0; 1 << 20],
        }
    }

    /// All that was written up to now.
    pub(super) fn drain(&mut self, mut take: impl FnMut(Entry)) {
        loop {
            let read = self.file.read(&mut self.buffer).unwrap();
            if read == 0 {
                return;
            }
            assert!(read.is_multiple_of(SIZE), "an entry was cut off");
            for bytes in self.buffer[..read].chunks_exact(SIZE) {
                take(Entry::from_bytes(bytes.try_into().unwrap()));
            }
        }
    }
}

const SIZE: usize = 16;
const MARK: u8 = 0xa7;

#[test]
fn what_is_written_is_read_back_in_its_order() {
    let path = super::scratch("journal");
    let mut reader = Reader::create(&path);
    let writer = Writer::open(&path);
    let entries = [
        Entry::new(What::Taken, 3, 1 << 40),
        Entry::new(What::Done, 3, 1 << 40).number(7),
        Entry::new(What::Closed, 0, 0),
    ];
    for entry in entries {
        writer.write(entry);
    }
    let mut read = Vec::new();
    reader.drain(|entry| read.push(entry));
    std::fs::remove_file(path).unwrap();
    assert_eq!(read, entries);
}
