//! Dialing: opening a byte stream to an address, over TCP or by a closure.

use std::future::Future;
use std::io;
use std::pin::Pin;

use milena_core::Address;
use tokio::io::{AsyncRead, AsyncWrite};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A byte stream to a broker. Implemented for every type with the listed traits.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// A byte stream of any kind.
pub type BoxStream = Box<dyn Stream>;

/// Opens byte streams to addresses.
///
/// [`TcpConnect`](crate::TcpConnect) opens them over TCP. A closure `Fn(Address) -> impl
/// Future<Output = io::Result<impl AsyncRead + AsyncWrite>>` is a connector, too. A whole client
/// can then run over streams in memory.
pub trait Connect: Send + Sync + 'static {
    /// Opens a stream to `address`. The caller limits the time by dropping the future.
    ///
    /// # Errors
    /// The reason why the stream could not be opened. Its text should name what was tried.
    fn dial<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxStream>>;
}

impl<F, Fut, S> Connect for F
where
    F: Fn(Address) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send + 'static,
    S: Stream,
{
    fn dial<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxStream>> {
        let opening = self(address.clone());
        Box::pin(async move { opening.await.map(|stream| Box::new(stream) as BoxStream) })
    }
}
