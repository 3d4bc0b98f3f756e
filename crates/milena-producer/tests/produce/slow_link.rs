//! A link that is slower than the producer. Requests in flight are answered before they time out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use milena_broker::Broker;
use milena_core::{Address, Event, ProducerRecord};
use milena_pool::{BoxFuture, BoxStream, Connect};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::bed::connect;

/// A connector over another one. All its connections share one link, and a write takes time on it.
struct Slow<C> {
    inner: C,
    link: Arc<Link>,
}

/// A link that passes `rate` bytes per second.
struct Link {
    rate: u64,
    start: Instant,
    /// The microsecond, counted from `start`, at which all bytes so far have passed.
    busy_until: AtomicU64,
}

struct Paced {
    inner: BoxStream,
    link: Arc<Link>,
    turn: Pin<Box<Sleep>>,
}

impl<C: Connect> Connect for Slow<C> {
    fn dial<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let inner = self.inner.dial(address).await?;
            let turn = Box::pin(sleep_until(Instant::now()));
            let link = self.link.clone();
            Ok(Box::new(Paced { inner, link, turn }) as BoxStream)
        })
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.turn.as_mut().poll(cx));
        let some = bytes.len().min(16 << 10);
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, &bytes[..some]))?;
        let link = &this.link;
        let now = u64::try_from(link.start.elapsed().as_micros()).unwrap();
        let from = link.busy_until.load(Ordering::Relaxed).max(now);
        let until = from + written as u64 * 1_000_000 / link.rate;
        link.busy_until.store(until, Ordering::Relaxed);
        this.turn
            .as_mut()
            .reset(link.start + Duration::from_micros(until));
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_is_kept_busy_and_no_request_runs_out_of_time_on_it() {
    let broker = Broker::builder().topic("orders", 32).start().await.unwrap();
    let (rate, time) = (1_000_000, Duration::from_secs(120));
    let slow = Slow {
        inner: broker.dialer(),
        link: Arc::new(Link {
            rate,
            start: Instant::now(),
            busy_until: AtomicU64::new(0),
        }),
    };
    let bed = connect(broker, slow, |cluster| cluster).await;
    let counts = Arc::new([const { AtomicU64::new(0) }; 2]);
    let seen = counts.clone();
    let observer = move |event: &Event<'_>| match event {
        Event::BatchDelivered { bytes, .. } => {
            seen[0].fetch_add(*bytes as u64, Ordering::Relaxed);
        }
        Event::BatchRetried { .. } | Event::BatchFailed { .. } => {
            seen[1].fetch_add(1, Ordering::Relaxed);
        }
        _ => {}
    };
    let producer = bed
        .builder()
        .add_observer(Arc::new(observer))
        .build()
        .unwrap();
    let value = "x".repeat(100_000);
    let filling = async {
        for number in 0_u32.. {
            let record = ProducerRecord::new("orders").partition(number % 32);
            let placed = producer.enqueue(record.value(value.clone())).await;
            drop(placed.unwrap());
        }
    };
    assert!(tokio::time::timeout(time, filling).await.is_err());
    let [delivered, again] = [0, 1].map(|at| counts[at].load(Ordering::Relaxed));
    assert_eq!(again, 0, "batches were sent again");
    let most = rate * time.as_secs();
    assert!(delivered * 10 >= most * 9, "{delivered} of {most} bytes");
}
