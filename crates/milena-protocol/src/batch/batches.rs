//! The batches of a records field. Brokers cut a Fetch answer at any byte, so a batch that is cut
//! is no error.

use bytes::Bytes;
use milena_core::{Error, ErrorKind, Offset, Result};

use super::header::{BatchHeader, HEADER_LEN, LENGTH_PREFIX, crc_of, unknown_magic};
use super::legacy;
use super::records::Records;
use crate::compression;

/// Iterates over the batches of a records field, without copying or decoding them.
///
/// Brokers cut the last batch of a Fetch answer at the size limit. This is no error. The iteration
/// ends, and [`tail`](Self::tail) returns the bytes of the cut batch. An error ends the iteration
/// too.
#[derive(Clone, Debug)]
pub struct Batches {
    /// The bytes that were not iterated over.
    rest: Bytes,
    /// The number of bytes at the front of `rest` whose batches are known to have the right
    /// checksum.
    intact: usize,
    /// True after the end or an error.
    done: bool,
}

impl Batches {
    /// Returns the batches in `records`.
    pub fn new(records: Bytes) -> Self {
        Self::checked(records, 0)
    }

    /// Returns the batches in `records`. Those within the first `intact` bytes are known to have
    /// the right checksum.
    pub fn checked(records: Bytes, intact: usize) -> Self {
        Self {
            rest: records,
            intact,
            done: false,
        }
    }

    /// Copies the bytes that were not iterated over into memory of their own. The batches iterated
    /// over stay where they are.
    pub fn copy_out(&mut self) {
        self.rest = Bytes::copy_from_slice(&self.rest);
    }

    /// Returns the bytes that were not iterated over. After the end these are the bytes of the cut
    /// batch.
    pub fn tail(&self) -> &Bytes {
        &self.rest
    }

    /// Returns the whole size of the batch at the front of the tail, in bytes. `None` if its length
    /// was cut off, too.
    pub fn tail_needs(&self) -> Option<usize> {
        let (_, len) = self.rest.split_first_chunk::<8>()?;
        let len = usize::try_from(i32::from_be_bytes(*len.first_chunk::<4>()?)).ok()?;
        len.checked_add(LENGTH_PREFIX)
    }

    /// Reads the next batch. `None` if it is cut, or if there is none.
    fn read(&mut self) -> Result<Option<Batch>> {
        // The magic byte is the 17th in all formats.
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

    /// Returns the error for an unknown format, with the offset if it is valid.
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

/// One whole batch, with its header read and its body untouched.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The header.
    header: BatchHeader,
    /// The bytes of the whole batch.
    bytes: Bytes,
    /// True if the checksum is known to be right.
    intact: bool,
}

impl Batch {
    /// Returns the header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Returns the offset of the first record that the batch was written with.
    ///
    /// In a compressed set of a format before v2 this is the last offset, since only the records
    /// show the first one.
    pub fn base_offset(&self) -> Offset {
        self.header.base_offset
    }

    /// Returns the offset of the last record that the batch was written with.
    pub fn last_offset(&self) -> Offset {
        self.header.last_offset()
    }

    /// Returns the offset behind this batch, at which reading goes on, even if compaction left the
    /// batch empty.
    pub fn next_offset(&self) -> Offset {
        self.header.next_offset()
    }

    /// Returns the number of records in the batch. In formats before v2 a compressed set counts as
    /// one.
    pub fn count(&self) -> u32 {
        self.header.count
    }

    /// Returns true if the batch holds a control record instead of records for users.
    pub fn is_control(&self) -> bool {
        self.header.attributes.is_control()
    }

    /// Returns true if the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.header.attributes.is_transactional()
    }

    /// Returns the batch's own bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns true if the checksum was found right while the bytes arrived ([`Batches::checked`]).
    pub fn is_intact(&self) -> bool {
        self.intact
    }

    /// Compares the checksum with the bytes, unless that was done while they arrived
    /// ([`Batches::checked`]).
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] if they differ.
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

    /// Returns the records, decompressed into at most `max_size` bytes. An uncompressed body is
    /// shared.
    ///
    /// Checks neither the checksum ([`verify_crc`](Self::verify_crc)) nor the records, which are
    /// checked one by one as they are decoded.
    ///
    /// # Errors
    /// - [`ErrorKind::Decode`] if the body does not decompress, or decompresses to more than
    ///   `max_size` bytes
    /// - [`ErrorKind::Unsupported`] if the codec is unknown or was left out of the build
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
