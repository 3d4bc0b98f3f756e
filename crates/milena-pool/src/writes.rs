//! The write queue. It writes the pieces of several requests together, vectored, in their order.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Pieces to write. Counts of bytes show which requests have been written.
#[derive(Default)]
pub(crate) struct WriteQueue {
    /// The pieces that the stream has not taken. The front piece may be partly written.
    pieces: VecDeque<Bytes>,
    /// Bytes ever added to the queue.
    queued: u64,
    /// Bytes ever taken by the stream. At most `queued`.
    written: u64,
    /// True if bytes were written since the last flush.
    unflushed: bool,
}

impl WriteQueue {
    /// Adds the pieces of a request at the end. Returns the counts of queued bytes before and after
    /// it.
    pub(crate) fn push(&mut self, pieces: impl IntoIterator<Item = Bytes>) -> (u64, u64) {
        let start = self.queued;
        for piece in pieces {
            if !piece.is_empty() {
                self.queued += piece.len() as u64;
                self.pieces.push_back(piece);
            }
        }
        (start, self.queued)
    }

    /// Returns the number of bytes that the stream has ever taken.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// Writes once, as much as the stream takes. Flushes when nothing is left to write.
    ///
    /// `Ready(Ok(0))` means that nothing was left to write.
    pub(crate) fn poll_write<S: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.pieces.is_empty() {
            // Flush only when nothing is left to write, so that buffering streams such as TLS send
            // full blocks.
            if self.unflushed {
                ready!(Pin::new(stream).poll_flush(cx))?;
                self.unflushed = false;
            }
            return Poll::Ready(Ok(0));
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(&self.pieces) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        let taken = ready!(Pin::new(stream).poll_write_vectored(cx, slices))?;
        if taken == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(taken);
        self.unflushed = true;
        Poll::Ready(Ok(taken))
    }

    /// Removes `taken` bytes from the front of the queue.
    fn advance(&mut self, mut taken: usize) {
        self.written += taken as u64;
        while let Some(front) = self.pieces.front_mut() {
            if front.len() > taken {
                front.advance(taken);
                return;
            }
            taken -= front.len();
            self.pieces.pop_front();
        }
    }
}

/// The most pieces per system call. They take 2 KiB of stack. A request of 64 batches fills them.
const SLICES: usize = 128;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn pieces_of_several_requests_go_out_in_order() {
        let mut queue = WriteQueue::default();
        assert_eq!(
            queue.push([Bytes::from_static(b"ab"), Bytes::new()]),
            (0, 2)
        );
        assert_eq!(queue.push([Bytes::from_static(b"cdefg")]), (2, 7));
        let (mut near, mut far) = tokio::io::duplex(3);
        let reader = tokio::spawn(async move {
            let mut all = [0; 7];
            far.read_exact(&mut all).await.unwrap();
            all
        });
        while poll_fn(|cx| queue.poll_write(&mut near, cx)).await.unwrap() > 0 {}
        assert_eq!(queue.written(), 7);
        assert_eq!(&reader.await.unwrap(), b"abcdefg");
    }
}
