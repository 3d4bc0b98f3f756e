//! Control records, the markers that end transactions. There is one per control batch.

use bytes::Bytes;
use milena_core::{Error, ErrorKind, Offset, ProducerEpoch, ProducerId, Result, Timestamp};

use super::builder::BatchBuilder;
use super::header::{Attributes, HeaderFields};
use crate::compression::{Codec, Compression};
use crate::reader::Reader;
use milena_core::HeadersRef;

/// The content of a control record.
///
/// # References
/// KIP-98.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ControlRecord {
    /// The producer's transaction was aborted. Its records are not delivered.
    Abort {
        /// The epoch of the transaction coordinator that wrote the marker.
        coordinator_epoch: i32,
    },
    /// The producer's transaction was committed.
    Commit {
        /// The epoch of the transaction coordinator that wrote the marker.
        coordinator_epoch: i32,
    },
    /// A marker of another kind, such as a quorum's leader change. Consumers ignore it.
    Other(i16),
}

impl ControlRecord {
    /// Reads the key and value of a control batch's record.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] if the key, or the value of a transaction marker, is null or cut
    /// short.
    pub fn parse(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self> {
        let Some(key) = key else {
            return Err(Error::new(ErrorKind::Decode, "a control record has no key"));
        };
        let mut key = Reader::new(key);
        key.i16()?;
        let kind = key.i16()?;
        if !(0..=1).contains(&kind) {
            return Ok(Self::Other(kind));
        }
        let mut value = Reader::new(value.unwrap_or_default());
        value.i16()?;
        let coordinator_epoch = value.i32()?;
        Ok(if kind == 0 {
            Self::Abort { coordinator_epoch }
        } else {
            Self::Commit { coordinator_epoch }
        })
    }

    /// Returns the whole control batch that ends a transaction of this producer, as a broker
    /// appends it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for [`ControlRecord::Other`], which milena's broker does not
    /// write.
    pub fn to_batch(
        self,
        base_offset: Offset,
        producer: (ProducerId, ProducerEpoch),
        timestamp: Timestamp,
    ) -> Result<Bytes> {
        let (kind, epoch) = match self {
            Self::Abort { coordinator_epoch } => (0i16, coordinator_epoch),
            Self::Commit { coordinator_epoch } => (1, coordinator_epoch),
            Self::Other(_) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "only transaction markers can be written",
                ));
            }
        };
        let mut key = [0u8; 4];
        key[2..].copy_from_slice(&kind.to_be_bytes());
        let mut value = [0u8; 6];
        value[2..].copy_from_slice(&epoch.to_be_bytes());
        let mut builder = BatchBuilder::with_capacity(32);
        builder.append(timestamp, Some(&key), Some(&value), HeadersRef::empty())?;
        let (sealed, _) = builder.seal(Compression::None)?;
        let fields = HeaderFields {
            base_offset: base_offset.to_wire(),
            body_len: sealed.body().len(),
            leader_epoch: -1,
            attributes: Attributes::of(Codec::None)
                .control(true)
                .transactional(true),
            last_offset_delta: 0,
            base_timestamp: timestamp.to_millis(),
            max_timestamp: timestamp.to_millis(),
            producer: Some((producer.0, producer.1, None)),
            count: 1,
        };
        let mut batch = fields.write(sealed.body()).to_vec();
        batch.extend_from_slice(sealed.body());
        Ok(Bytes::from(batch))
    }
}
