//! The 61-byte header of a record batch v2. Consumers read it, producers write it when they send,
//! and brokers rewrite it.

use milena_core::{
    Error, ErrorKind, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Result, Sequence, Timestamp,
    TimestampType,
};

use crate::compression::Codec;
use crate::reader::Reader;

/// The size of a batch header, in bytes, from the base offset to the record count.
pub const HEADER_LEN: usize = 61;
/// The bytes that the batch's length field does not count, which are the base offset and the length
/// itself.
pub(crate) const LENGTH_PREFIX: usize = 12;
/// The index of the first byte that the CRC covers, where the attributes begin.
pub(crate) const CRC_START: usize = 21;

/// The identity of a batch, from which brokers recognise a batch that they have already written
/// (KIP-98).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ProducerStamp {
    /// The producer id that InitProducerId gave.
    pub id: ProducerId,
    /// The producer's epoch. A broker refuses older ones.
    pub epoch: ProducerEpoch,
    /// The sequence of the batch's first record.
    pub sequence: Sequence,
    /// True if the batch belongs to a transaction.
    pub transactional: bool,
}

/// The attribute bits of a batch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Attributes(i16);

impl Attributes {
    const LOG_APPEND: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// Returns the attributes of a batch whose body `codec` compressed, with all other bits off.
    pub const fn of(codec: Codec) -> Self {
        Self(codec.to_wire())
    }

    /// Reads attributes from the wire. Unknown bits are kept.
    pub const fn from_wire(raw: i16) -> Self {
        Self(raw)
    }

    /// Returns the bits as on the wire.
    pub const fn to_wire(self) -> i16 {
        self.0
    }

    /// Returns the codec of the body. `None` if it is unknown.
    pub const fn codec(self) -> Option<Codec> {
        Codec::from_wire(self.0 & 7)
    }

    /// Returns whether the producer or the broker set the timestamps.
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND == 0 {
            TimestampType::Create
        } else {
            TimestampType::LogAppend
        }
    }

    /// Returns true if the batch belongs to a transaction.
    pub const fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Returns true if the batch holds a control record instead of records for users.
    pub const fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Returns true if the base timestamp is the time after which compaction drops tombstones
    /// (KIP-534).
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// Returns the same attributes with the transactional bit set to `yes`.
    #[must_use]
    pub const fn transactional(self, yes: bool) -> Self {
        self.with(Self::TRANSACTIONAL, yes)
    }

    /// Returns the same attributes with the control bit set to `yes`.
    #[must_use]
    pub const fn control(self, yes: bool) -> Self {
        self.with(Self::CONTROL, yes)
    }

    /// Returns the same attributes with timestamps set by the broker at append, if `yes` is true.
    #[must_use]
    pub const fn log_append(self, yes: bool) -> Self {
        self.with(Self::LOG_APPEND, yes)
    }

    /// Returns the same attributes without a codec.
    pub(crate) const fn uncompressed(self) -> Self {
        Self(self.0 & !7)
    }

    /// Returns the same attributes with `bit` set to `yes`.
    const fn with(self, bit: i16, yes: bool) -> Self {
        if yes {
            Self(self.0 | bit)
        } else {
            Self(self.0 & !bit)
        }
    }
}

/// The header of one batch.
///
/// For a message set of a format before v2 it is filled in from the message's own fields.
///
/// # References
/// Protocol guide, "Record Batch". KIP-98.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BatchHeader {
    /// The offset of the first record that the batch was written with.
    pub base_offset: Offset,
    /// The size of the whole batch, in bytes, header included.
    pub size: usize,
    /// The epoch of the leader that appended it. `None` if unknown.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The format, which is 2, or 0 or 1 for old message sets.
    pub magic: u8,
    /// The checksum. CRC-32C of all bytes from the attributes on, or CRC-32 in old message sets.
    pub crc: u32,
    /// The attribute bits.
    pub attributes: Attributes,
    /// The difference between the last offset and the base offset, as the batch was written.
    /// Compaction keeps it.
    pub last_offset_delta: u32,
    /// The timestamp that record timestamps are relative to, in milliseconds. Negative if there is
    /// none.
    pub base_timestamp: i64,
    /// The largest timestamp of the batch, in milliseconds. If the broker sets timestamps it is the
    /// append time. Negative if there is none.
    pub max_timestamp: i64,
    /// The producer id. `None` if the producer is not idempotent.
    pub producer_id: Option<ProducerId>,
    /// The producer epoch. `None` if the producer is not idempotent.
    pub producer_epoch: Option<ProducerEpoch>,
    /// The sequence of the first record. `None` if the producer is not idempotent, and in control
    /// batches.
    pub base_sequence: Option<Sequence>,
    /// The number of records left in the batch. Compaction can leave none.
    pub count: u32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`, which may end right behind it.
    ///
    /// Does not check the checksum, which takes the whole batch.
    ///
    /// # Errors
    /// - [`ErrorKind::Decode`] if there are fewer than 61 bytes or a field has an impossible value
    /// - [`ErrorKind::Unsupported`] if the format is not v2
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let raw_base = reader.i64()?;
        let bad = |what: &str| {
            Error::new(
                ErrorKind::Decode,
                format!("a record batch at offset {raw_base} has {what}"),
            )
        };
        let base_offset =
            Offset::from_wire(raw_base).ok_or_else(|| bad("a negative base offset"))?;
        let length = usize::try_from(reader.i32()?).map_err(|_| bad("a negative length"))?;
        if length < HEADER_LEN - LENGTH_PREFIX {
            return Err(bad("a length below its own header's"));
        }
        let leader_epoch = LeaderEpoch::from_wire(reader.i32()?);
        let magic = reader.u8()?;
        if magic != 2 {
            return Err(unknown_magic(magic).offset(base_offset));
        }
        let crc = u32::from_be_bytes(reader.array()?);
        let attributes = Attributes::from_wire(reader.i16()?);
        let last_offset_delta =
            u32::try_from(reader.i32()?).map_err(|_| bad("a negative last offset delta"))?;
        if raw_base
            .checked_add(i64::from(last_offset_delta) + 1)
            .is_none()
        {
            return Err(bad("offsets past the largest"));
        }
        Ok(Self {
            base_offset,
            size: length + LENGTH_PREFIX,
            leader_epoch,
            magic,
            crc,
            attributes,
            last_offset_delta,
            base_timestamp: reader.i64()?,
            max_timestamp: reader.i64()?,
            producer_id: ProducerId::from_wire(reader.i64()?),
            producer_epoch: ProducerEpoch::from_wire(reader.i16()?),
            base_sequence: Sequence::from_wire(reader.i32()?),
            count: u32::try_from(reader.i32()?).map_err(|_| bad("a negative record count"))?,
        })
    }

    /// Returns the offset of the last record that the batch was written with.
    pub const fn last_offset(&self) -> Offset {
        self.base_offset.plus(self.last_offset_delta)
    }

    /// Returns the offset behind the batch, at which a consumer goes on, whatever compaction left
    /// of it.
    pub const fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// Returns the producer's stamp. `None` if the producer is not idempotent or the batch has no
    /// sequence.
    pub fn stamp(&self) -> Option<ProducerStamp> {
        Some(ProducerStamp {
            id: self.producer_id?,
            epoch: self.producer_epoch?,
            sequence: self.base_sequence?,
            transactional: self.attributes.is_transactional(),
        })
    }

    /// Returns the timestamp of a record that was written `delta` milliseconds after the base. The
    /// outer `None` is an overflow, and the inner one a record without a timestamp.
    pub(crate) fn timestamp(&self, delta: i64) -> Option<Option<Timestamp>> {
        let raw = match self.attributes.timestamp_type() {
            TimestampType::LogAppend => self.max_timestamp,
            TimestampType::Create => self.base_timestamp.checked_add(delta)?,
        };
        Some(Timestamp::from_wire(raw))
    }
}

/// Returns the error for an unknown format.
pub(crate) fn unknown_magic(magic: u8) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("record batch format {magic} is not known (0, 1 and 2 are)"),
    )
}

/// The fields of a header about to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeaderFields {
    /// The offset of the first record. Producers write 0.
    pub(crate) base_offset: i64,
    /// The bytes of the body behind the header.
    pub(crate) body_len: usize,
    /// The epoch of the leader that appends the batch. -1 if unknown.
    pub(crate) leader_epoch: i32,
    /// The attribute bits.
    pub(crate) attributes: Attributes,
    /// The difference between the last offset and the base offset.
    pub(crate) last_offset_delta: u32,
    /// The timestamp that record timestamps are relative to, in milliseconds.
    pub(crate) base_timestamp: i64,
    /// The largest timestamp, in milliseconds.
    pub(crate) max_timestamp: i64,
    /// The producer's id, epoch and sequence. `None` without idempotence. Control batches have no
    /// sequence.
    pub(crate) producer: Option<(ProducerId, ProducerEpoch, Option<Sequence>)>,
    /// The number of records.
    pub(crate) count: u32,
}

impl HeaderFields {
    /// Writes the header of a batch with this `body`, checksum included.
    pub(crate) fn write(&self, body: &[u8]) -> [u8; HEADER_LEN] {
        let (id, epoch, sequence) = match self.producer {
            Some((id, epoch, sequence)) => (
                id.to_wire(),
                epoch.to_wire(),
                sequence.map_or(-1, Sequence::to_wire),
            ),
            None => (-1, -1, -1),
        };
        let length = (HEADER_LEN - LENGTH_PREFIX + self.body_len) as u32;
        let mut out = [0u8; HEADER_LEN];
        let mut rest = &mut out[..];
        put(&mut rest, self.base_offset.to_be_bytes());
        put(&mut rest, length.to_be_bytes());
        put(&mut rest, self.leader_epoch.to_be_bytes());
        put(&mut rest, [2]);
        put(&mut rest, [0; 4]);
        put(&mut rest, self.attributes.to_wire().to_be_bytes());
        put(&mut rest, self.last_offset_delta.to_be_bytes());
        put(&mut rest, self.base_timestamp.to_be_bytes());
        put(&mut rest, self.max_timestamp.to_be_bytes());
        put(&mut rest, id.to_be_bytes());
        put(&mut rest, epoch.to_be_bytes());
        put(&mut rest, sequence.to_be_bytes());
        put(&mut rest, self.count.to_be_bytes());
        let crc = crc32c(out.get(CRC_START..).unwrap_or_default(), body);
        if let Some(place) = out.get_mut(17..CRC_START) {
            place.copy_from_slice(&crc.to_be_bytes());
        }
        out
    }
}

/// Writes `bytes` at the front of `rest`, and moves `rest` behind them.
fn put<const N: usize>(rest: &mut &mut [u8], bytes: [u8; N]) {
    let whole = std::mem::take(rest);
    if let Some((place, behind)) = whole.split_first_chunk_mut::<N>() {
        *place = bytes;
        *rest = behind;
    }
}

/// Returns the checksum that a whole batch of format v2 should have.
pub(crate) fn crc_of(batch: &[u8]) -> u32 {
    crc32c(batch.get(CRC_START..).unwrap_or_default(), &[])
}

/// Returns the CRC-32C (Castagnoli) of two pieces that follow each other.
pub(crate) fn crc32c(front: &[u8], back: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(front);
    digest.update(back);
    digest.finalize() as u32
}
