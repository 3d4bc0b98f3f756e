//! A file with the actions of a worker, which outlives the worker. All entries have one size, and
//! each is written by one call before the worker goes on.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

/// An entry of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) what: What,
    pub(super) partition: u16,
    /// The number that the record's value holds. 0 if nothing has read it.
    pub(super) number: u32,
    pub(super) offset: u64,
}

/// The action or event of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A record arrived at the stack.
    Taken = 1,
    /// The handler has processed the record and is about to acknowledge it.
    Done,
    /// The broker has acknowledged the record's dead letter.
    Dead,
    /// An attempt failed on purpose, and another one follows.
    Failed,
    /// An attempt failed because the dependency was down.
    Down,
    /// The dependency went down.
    Died,
    /// The dependency came back.
    Back,
    /// The breaker opened.
    Opened,
    /// The breaker paused a partition.
    Paused,
    /// The group removed the worker although it was running.
    Lost,
    /// The worker shut down in order.
    Closed,
}

impl Entry {
    /// Creates an entry for a record, or for its partition.
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

/// The worker's side of the journal.
pub(super) struct Writer(File);

impl Writer {
    pub(super) fn open(path: &Path) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(path);
        Self(file.unwrap())
    }

    /// Writes an entry. Once this returns, any reader of the file sees the entry, even if this
    /// process is killed at once.
    pub(super) fn write(&self, entry: Entry) {
        // Invariant: an entry lies within one page, so a killed process leaves a whole entry or
        // none.
        let written = (&self.0).write(&entry.to_bytes()).unwrap();
        assert_eq!(written, SIZE);
    }
}

/// The parent's side of the journal.
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

    /// Reads all entries that were written since the last call.
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
