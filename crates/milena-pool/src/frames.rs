//! Reads frames. A small frame is copied out of a buffer, a large one is read into its own memory.

use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use milena_core::{Error, ErrorKind, Result};
use milena_protocol::frame::{self, ForeignPeer};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::spares::Spares;

/// Cuts a byte stream into frames.
///
/// No two frames share memory, so a slice of a frame keeps only that frame in memory. A frame that
/// is not in the buffer as a whole gets its own memory, and its rest is read directly into that.
/// The memory of large frames is used again ([`Spares`]).
pub(crate) struct FrameReader {
    /// Bytes that were read and belong to no returned frame. Empty while `large` is being read.
    buffer: BytesMut,
    /// The frame that is being read into its own memory. `None` between such frames.
    large: Option<Large>,
    /// Memory of earlier large frames.
    spares: Spares,
    /// The largest accepted frame, in bytes.
    max: usize,
}

struct Large {
    /// The bytes that have arrived.
    bytes: BytesMut,
    /// Number of bytes that have not arrived.
    missing: usize,
}

impl FrameReader {
    /// Creates a reader that refuses frames of more than `max` bytes.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            buffer: BytesMut::with_capacity(BUFFER),
            large: None,
            spares: Spares::default(),
            max,
        }
    }

    /// Reads the next frame, without its length. `None` at the end of the stream.
    ///
    /// `watch` is called after each read of a large frame, with all bytes of it that have arrived.
    /// At that moment they are still in the processor's cache.
    pub(crate) fn poll_frame<S: AsyncRead + Unpin + ?Sized>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        mut watch: impl FnMut(&[u8]),
    ) -> Poll<Result<Option<Bytes>>> {
        loop {
            if let Some(frame) = self.take()? {
                return Poll::Ready(Ok(Some(frame)));
            }
            let read = match &mut self.large {
                Some(large) => {
                    if large.bytes.len() == large.bytes.capacity() {
                        let len = large.bytes.len() + large.missing;
                        Spares::grow(&mut large.bytes, len);
                    }
                    let mut room = (&mut large.bytes).limit(large.missing.min(READ));
                    let read = ready!(pin!(stream.read_buf(&mut room)).as_mut().poll(cx));
                    if let Ok(read) = read {
                        large.missing = large.missing.saturating_sub(read);
                        watch(&large.bytes);
                    }
                    read
                }
                None => {
                    self.buffer.reserve(BUFFER / 2);
                    ready!(pin!(stream.read_buf(&mut self.buffer)).as_mut().poll(cx))
                }
            };
            match read {
                Ok(0) if self.buffer.is_empty() && self.large.is_none() => {
                    return Poll::Ready(Ok(None));
                }
                Ok(0) => {
                    let what = "the peer closed the connection in the middle of an answer";
                    return Poll::Ready(Err(Error::new(ErrorKind::Transport, what)));
                }
                Ok(_) => {}
                Err(error) => {
                    let what = format!("reading failed: {error}");
                    let error = Error::new(ErrorKind::Transport, what).with_source(error);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    /// Returns the memory kept for large frames.
    pub(crate) fn spares(&self) -> &Spares {
        &self.spares
    }

    /// Returns a clear error if an answer is too large for this client. Returns `error` if the
    /// bytes are not a Kafka frame at all.
    fn over(&self, prefix: [u8; 4], error: Error) -> Error {
        let len = u32::from_be_bytes(prefix);
        if ForeignPeer::recognise(prefix).is_some() || i32::try_from(len).is_err() {
            return error;
        }
        let what = format!(
            "an answer of {len} bytes is over the limit of {} bytes: ask for less (`fetch.max.bytes`, `max.partition.fetch.bytes`), or \
             take larger answers (`max_frame`)",
            self.max
        );
        Error::new(ErrorKind::Decode, what).setting("max_frame")
    }

    /// Takes a whole frame if one has arrived. Starts a large frame if only a part of it has.
    fn take(&mut self) -> Result<Option<Bytes>> {
        if let Some(large) = self.large.take_if(|large| large.missing == 0) {
            return Ok(Some(self.spares.frame(large.bytes)));
        }
        if self.large.is_some() {
            return Ok(None);
        }
        let Some(prefix) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let len = frame::length(*prefix, self.max).map_err(|error| self.over(*prefix, error))?;
        let present = self.buffer.get(4..).unwrap_or_default();
        if let Some(whole) = present.get(..len) {
            // Copy the frame. A slice of the buffer would keep the whole buffer in memory for as
            // long as a consumer holds one small record.
            let frame = Bytes::copy_from_slice(whole);
            self.spares.pass();
            self.buffer.advance(4 + len);
            return Ok(Some(frame));
        }
        let mut bytes = self.spares.take(len);
        bytes.extend_from_slice(present);
        let missing = len - bytes.len();
        self.buffer.clear();
        self.large = Some(Large { bytes, missing });
        Ok(None)
    }
}

const BUFFER: usize = 16 << 10;
/// The most bytes of a large frame that are read at once. This much fits into the
/// smallest second-level caches of today's processors.
const READ: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut out = (payload.len() as u32).to_be_bytes().to_vec();
        out.extend_from_slice(payload);
        out
    }

    #[tokio::test]
    async fn frames_come_out_whole_however_they_are_sliced() {
        let payloads = [
            vec![],
            vec![1],
            vec![2; 40_000],
            vec![3; 9],
            vec![4; 17_000],
        ];
        let bytes: Vec<u8> = payloads.iter().flat_map(|p| framed(p)).collect();
        for slice in [1, 7, 4_096, bytes.len()] {
            let (mut near, mut far) = tokio::io::duplex(slice);
            let sent = bytes.clone();
            let writer = tokio::spawn(async move { far.write_all(&sent).await.unwrap() });
            let mut reader = FrameReader::new(1 << 20);
            for payload in &payloads {
                let frame = poll_fn(|cx| reader.poll_frame(&mut near, cx, |_| {})).await;
                assert_eq!(&frame.unwrap().unwrap()[..], &payload[..]);
            }
            writer.await.unwrap();
            let end = poll_fn(|cx| reader.poll_frame(&mut near, cx, |_| {})).await;
            assert!(end.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn a_frame_owns_its_memory_alone() {
        let (mut near, mut far) = tokio::io::duplex(1 << 17);
        far.write_all(&[framed(&[7; 10]), framed(&[8; 50_000])].concat())
            .await
            .unwrap();
        let mut reader = FrameReader::new(1 << 20);
        for len in [10, 50_000] {
            let frame = poll_fn(|cx| reader.poll_frame(&mut near, cx, |_| {})).await;
            let own = frame.unwrap().unwrap().try_into_mut().unwrap();
            assert_eq!((own.len(), own.capacity()), (len, len));
        }
    }

    #[tokio::test]
    async fn a_steady_flow_of_large_frames_uses_the_same_memory_until_frames_are_small() {
        let (mut near, mut far) = tokio::io::duplex(1 << 16);
        let large = framed(&[9; 600_000]);
        let small = framed(&[9; 10]);
        let sent = [large.repeat(3), small.repeat(16), large].concat();
        let writer = tokio::spawn(async move { far.write_all(&sent).await.unwrap() });
        let mut reader = FrameReader::new(1 << 20);
        let mut places = Vec::new();
        for _ in 0..3 {
            let frame = poll_fn(|cx| reader.poll_frame(&mut near, cx, |_| {})).await;
            places.push(frame.unwrap().unwrap().as_ptr());
        }
        assert!(places.iter().all(|place| *place == places[0]));
        assert!(reader.spares().is_flowing());
        for _ in 0..16 {
            let frame = poll_fn(|cx| reader.poll_frame(&mut near, cx, |_| {})).await;
            assert_eq!(frame.unwrap().unwrap().len(), 10);
        }
        assert!(!reader.spares().is_flowing());
        let last = poll_fn(|cx| reader.poll_frame(&mut near, cx, |_| {})).await;
        assert!(last.unwrap().unwrap().iter().all(|byte| *byte == 9));
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_watcher_sees_a_large_frame_grow_in_bounded_steps_to_its_whole() {
        let (mut near, mut far) = tokio::io::duplex(4 << 20);
        far.write_all(&framed(&[6; 1_000_000])).await.unwrap();
        let mut reader = FrameReader::new(1 << 20);
        let mut seen = vec![0];
        let frame = poll_fn(|cx| {
            let watch = |frame: &[u8]| seen.push(frame.len());
            reader.poll_frame(&mut near, cx, watch)
        });
        assert_eq!(frame.await.unwrap().unwrap().len(), 1_000_000);
        assert_eq!(seen.last(), Some(&1_000_000));
        let steps: Vec<_> = seen.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let largest = READ + BUFFER;
        assert!(
            steps.iter().all(|step| (1..=largest).contains(step)),
            "{steps:?}"
        );
    }

    #[tokio::test]
    async fn the_length_of_a_frame_that_does_not_come_reserves_little() {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(&(100_u32 << 20).to_be_bytes()).await.unwrap();
        far.write_all(&[7; 32]).await.unwrap();
        let mut reader = FrameReader::new(100 << 20);
        let polled = poll_fn(|cx| {
            let polled = reader.poll_frame(&mut near, cx, |_| {});
            std::task::Poll::Ready(polled.is_pending())
        });
        assert!(polled.await);
        let large = reader.large.as_ref().unwrap();
        assert_eq!(large.bytes.len() + large.missing, 100 << 20);
        assert!(large.bytes.capacity() <= 1 << 20);
    }

    #[tokio::test]
    async fn an_end_in_mid_frame_is_an_error() {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
        drop(far);
        let mut reader = FrameReader::new(100);
        let end = poll_fn(|cx| reader.poll_frame(&mut near, cx, |_| {})).await;
        assert_eq!(end.unwrap_err().kind(), ErrorKind::Transport);
    }
}
