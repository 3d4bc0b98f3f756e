//! A records field, batch by batch: Fetch answers end anywhere, so a cut tail ends quietly.

use bytes::Bytes;
use milena_core::{Error, ErrorKind, Offset, Result};

use super::header::{BatchHeader, HEADER_LEN, LENGTH_PREFIX, crc_of, unknown_magic};
use super::legacy;
use super::records::Records;
use crate::compression;

/// Iterates over the batches of a records field, without copying or decoding them.
///
/// Brokers cut the last batch of a Fetch answer where the size limit falls: that is no error, the
/// iteration ends and [`tail`](Self::tail) tells how much was cut. An error ends the iteration too.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
    /// How many bytes at the front are known to hold batches with the right checksum.
    intact: usize,
    done: bool,
}

impl Batches {
    /// The batches in `records`.
    pub fn new(records: Bytes) -> Self {
        Self::checked(records, 0)
    }

    /// The batches in `records`, of which those within the first `intact` bytes are known to have the right checksum.
    pub fn checked(records: Bytes, intact: usize) -> Self {
        Self {
            rest: records,
            intact,
            done: false,
        }
    }

    /// Copies the bytes not iterated over into memory of their own; what was iterated over stays where it is.
    pub fn copy_out(&mut self) {
        self.rest = Bytes::copy_from_slice(&self.rest);
    }

    /// The bytes not iterated over: after the end, those of the cut batch.
    pub fn tail(&self) -> &Bytes {
        &self.rest
    }

    /// The whole size of the batch at the front of the tail, in bytes, when so much of it is there.
    pub fn tail_needs(&self) -> Option<usize> {
        let (_, len) = self.rest.split_first_chunk::<8>()?;
        let len = usize::try_from(i32::from_be_bytes(*len.first_chunk::<4>()?)).ok()?;
        len.checked_add(LENGTH_PREFIX)
    }

    fn read(&mut self) -> Result<Option<Batch>> {
        // The format's byte is the 17th in all formats.
        let Some(&magic) = self.rest.get(16) else {
            return Ok(None);
        };
        let header = match magic {
            2 if self.rest.len() < HEADER_LEN => return Ok(None),
            2 => BatchHeader::parse(&self.rest)?,
            0 | 1 if self.rest.len() < legacy::header_len(magic) => return Ok(None),
            0 | 1 => legacy::parse(&self.rest)?,
            _ => return Err(self.refuse(magic)),
        };
        if header.size > self.rest.len() {
            return Ok(None);
        }
        let bytes = self.rest.split_to(header.size);
        let intact = header.size <= self.intact;
        self.intact = self.intact.saturating_sub(header.size);
        Ok(Some(Batch {
            header,
            bytes,
            intact,
        }))
    }

    fn refuse(&self, magic: u8) -> Error {
        let offset = self
            .rest
            .first_chunk::<8>()
            .and_then(|raw| Offset::from_wire(i64::from_be_bytes(*raw)));
        match offset {
            Some(offset) => unknown_magic(magic).offset(offset),
            None => unknown_magic(magic),
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.read();
        self.done = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

/// One whole batch: its header read, its body untouched.
#[derive(Clone, Debug)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
    intact: bool,
}

impl Batch {
    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The offset of the first record that the batch was written with.
    ///
    /// In compressed sets from before v2 it is known only from the records; this is then the last offset.
    pub fn base_offset(&self) -> Offset {
        self.header.base_offset
    }

    /// The offset of the last record that the batch was written with.
    pub fn last_offset(&self) -> Offset {
        self.header.last_offset()
    }

    /// Where to go on behind this batch, also when compaction left it empty.
    pub fn next_offset(&self) -> Offset {
        self.header.next_offset()
    }

    /// How many records the batch holds; in sets from before v2 a compressed one counts as one.
    pub fn count(&self) -> u32 {
        self.header.count
    }

    /// Whether it carries a marker instead of records: its records are not for users.
    pub fn is_control(&self) -> bool {
        self.header.attributes.is_control()
    }

    /// Whether it belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.header.attributes.is_transactional()
    }

    /// The batch's own bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether the checksum was found right on the way in ([`Batches::checked`]).
    pub fn is_intact(&self) -> bool {
        self.intact
    }

    /// Holds the checksum against the bytes, unless that was done on their way in ([`Batches::checked`]).
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] when they disagree.
    pub fn verify_crc(&self) -> Result<()> {
        if self.intact {
            return Ok(());
        }
        let actual = if self.header.magic == 2 {
            crc_of(&self.bytes)
        } else {
            legacy::crc(&self.bytes)
        };
        if actual == self.header.crc {
            return Ok(());
        }
        let what = format!(
            "a record batch has CRC {:#010x}, its bytes give {actual:#010x}",
            self.header.crc
        );
        Err(Error::new(ErrorKind::Decode, what).offset(self.header.base_offset))
    }

    /// The records, decompressed into at most `max_size` bytes; an uncompressed body is shared.
    ///
    /// Checks neither the checksum ([`verify_crc`](Self::verify_crc)) nor the records, which are
    /// checked one by one as they are decoded.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] when the body does not decompress or is over `max_size` then;
    /// [`ErrorKind::Unsupported`] when the codec is unknown or was left out of the build.
    pub fn records(&self, max_size: usize) -> Result<Records> {
        if self.header.magic < 2 {
            return legacy::records(&self.header, &self.bytes, max_size);
        }
        let Some(codec) = self.header.attributes.codec() else {
            let what = format!(
                "compression type {} is not known",
                self.header.attributes.to_wire() & 7
            );
            return Err(Error::new(ErrorKind::Unsupported, what).offset(self.header.base_offset));
        };
        let body = self.bytes.slice(HEADER_LEN.min(self.bytes.len())..);
        let body = match codec {
            compression::Codec::None => body,
            _ => compression::decompress(codec, &body, max_size)
                .map_err(|error| error.offset(self.header.base_offset))?,
        };
        Ok(Records::new(self.header, body))
    }
}
