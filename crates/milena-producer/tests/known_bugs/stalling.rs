//! A connection that accepts some bytes and then no more, for a while or for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, ready};

use milena_broker::Broker;
use milena_core::Address;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::watch;

/// The number of bytes that connections still accept, which is all, or `left` in sum.
#[derive(Clone)]
pub(crate) struct Valve {
    left: Arc<AtomicI64>,
    open: watch::Sender<bool>,
}

impl Valve {
    pub(crate) fn new() -> Self {
        Self {
            left: Arc::new(AtomicI64::new(0)),
            open: watch::Sender::new(true),
        }
    }

    /// Lets `bytes` more through and then none.
    pub(crate) fn close_after(&self, bytes: i64) {
        self.left.store(bytes, Ordering::SeqCst);
        self.open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Returns a dialer to `broker` through this valve.
    pub(crate) fn dialer(
        &self,
        broker: &Broker,
    ) -> impl Fn(Address) -> Pin<Box<dyn Future<Output = io::Result<Stalling>> + Send>>
    + Send
    + Sync
    + 'static {
        let (valve, dial) = (self.clone(), broker.dialer());
        move |address| {
            let (valve, dialing) = (valve.clone(), dial(address));
            Box::pin(async move {
                Ok(Stalling {
                    inner: dialing.await?,
                    valve,
                    opens: None,
                })
            })
        }
    }
}

/// A connection behind a [`Valve`].
pub(crate) struct Stalling {
    inner: DuplexStream,
    valve: Valve,
    opens: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl AsyncWrite for Stalling {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            let mut room = bytes.len();
            if !*this.valve.open.borrow() {
                room = room.min(this.valve.left.load(Ordering::SeqCst).max(0) as usize);
            }
            if room > 0 {
                let written = ready!(Pin::new(&mut this.inner).poll_write(cx, &bytes[..room]))?;
                this.valve.left.fetch_sub(written as i64, Ordering::SeqCst);
                return Poll::Ready(Ok(written));
            }
            let mut changes = this.valve.open.subscribe();
            let opens = this.opens.get_or_insert_with(|| {
                Box::pin(async move {
                    let _ = changes.wait_for(|open| *open).await;
                })
            });
            ready!(opens.as_mut().poll(cx));
            this.opens = None;
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl AsyncRead for Stalling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}
