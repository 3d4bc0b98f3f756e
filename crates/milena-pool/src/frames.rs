//! Reading frames: small ones are copied out of one buffer, a large one is read into its own.

use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use milena_core::{Error, ErrorKind, Result};
use milena_protocol::frame;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Cuts a byte stream into frames.
///
/// Every frame handed out owns its memory alone, so that keeping a slice of it pins that frame and
/// no neighbour. A frame that the buffer does not hold whole gets memory of exactly its size, and
/// the rest of it is read straight into that.
pub(crate) struct FrameReader {
    buffer: BytesMut,
    large: Option<Large>,
    max: usize,
}

struct Large {
    bytes: BytesMut,
    missing: usize,
}

impl FrameReader {
    /// A reader that refuses frames over `max` bytes.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            buffer: BytesMut::with_capacity(BUFFER),
            large: None,
            max,
        }
    }

    /// The next frame without its length; `None` at the end of the stream.
    ///
    /// `watch` is given what has arrived of a large frame after each read of it, while that is still in the processor's cache.
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

    fn take(&mut self) -> Result<Option<Bytes>> {
        if let Some(large) = self.large.take_if(|large| large.missing == 0) {
            return Ok(Some(large.bytes.freeze()));
        }
        if self.large.is_some() {
            return Ok(None);
        }
        let Some(prefix) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let len = frame::length(*prefix, self.max)?;
        let present = self.buffer.get(4..).unwrap_or_default();
        if let Some(whole) = present.get(..len) {
            let frame = Bytes::copy_from_slice(whole);
            self.buffer.advance(4 + len);
            return Ok(Some(frame));
        }
        let mut bytes = BytesMut::with_capacity(len);
        bytes.extend_from_slice(present);
        let missing = len - bytes.len();
        self.buffer.clear();
        self.large = Some(Large { bytes, missing });
        Ok(None)
    }
}

const BUFFER: usize = 16 << 10;
/// The most that is read of a large frame at once: what is a good part of the smallest of today's second-level caches.
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
    async fn an_end_in_mid_frame_is_an_error() {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
        drop(far);
        let mut reader = FrameReader::new(100);
        let end = poll_fn(|cx| reader.poll_frame(&mut near, cx, |_| {})).await;
        assert_eq!(end.unwrap_err().kind(), ErrorKind::Transport);
    }
}
