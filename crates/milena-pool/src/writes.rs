//! Writing: pieces of several requests go out together, vectored, in the order they came.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Pieces on their way out, with a running count of bytes that tells what has been written.
#[derive(Default)]
pub(crate) struct WriteQueue {
    pieces: VecDeque<Bytes>,
    queued: u64,
    written: u64,
    unflushed: bool,
}

impl WriteQueue {
    /// Puts a request's pieces at the end; returns where in the stream of bytes it starts and ends.
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

    /// How many bytes the stream has taken, ever.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// Writes once, as much as the stream takes; then flushes. `Ready(Ok(0))` means that nothing waits.
    pub(crate) fn poll_write<S: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.pieces.is_empty() {
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

/// Pieces per system call: 2 KiB of stack; a request of 64 batches fills it.
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
