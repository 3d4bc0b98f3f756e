//! One connection. Like real brokers, it takes requests one at a time and answers them in order.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes, BytesMut};
use milena_core::CancelToken;
use milena_protocol::frame;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::cluster::Cluster;
use crate::dispatch::{self, Sending};
use crate::node::Node;

/// The client of a connection, and the broker that it is connected to.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The cluster of the broker.
    pub(crate) cluster: Arc<Cluster>,
    /// The broker.
    pub(crate) node: Arc<Node>,
    /// The client's address, with a leading `/` as brokers show it.
    pub(crate) host: Arc<str>,
    /// The connection's number, for the journal. Unique in this process.
    pub(crate) connection: u64,
}

impl Peer {
    /// Gives a new connection its number.
    pub(crate) fn new(cluster: &Arc<Cluster>, node: &Arc<Node>, host: impl Into<Arc<str>>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        Self {
            cluster: Arc::clone(cluster),
            node: Arc::clone(node),
            host: host.into(),
            connection: NUMBER.fetch_add(1, Ordering::Relaxed),
        }
    }
}

/// Serves a connection until the client closes it or the broker goes down.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: Peer,
    run: CancelToken,
) {
    tokio::select! {
        ended = answer_all(stream, &peer) => {
            if let Err(error) = ended {
                tracing::debug!(node = peer.node.id, peer = %peer.host, %error, "a connection ended");
            }
        }
        () = async { run.cancelled().await; } => {}
    }
}

/// Answers the requests of a connection one by one.
async fn answer_all<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    peer: &Peer,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    while let Some(request) = next_frame(
        &mut stream,
        &mut buffer,
        peer.cluster.settings.max_request_bytes,
    )
    .await?
    {
        // The future holds the state of every handler, so it is large. Boxing it costs one
        // allocation per request and keeps the task small.
        match Box::pin(dispatch::handle(peer, request)).await {
            Sending::Nothing => {}
            Sending::Frame(pieces) => write_all(&mut stream, pieces).await?,
            Sending::FrameThenClose(pieces) => {
                write_all(&mut stream, pieces).await?;
                return stream.shutdown().await;
            }
            Sending::Close => return Ok(()),
            Sending::Silence => return drain(&mut stream).await,
        }
    }
    Ok(())
}

/// Reads the next frame. Returns `None` if the client closed the connection between two frames.
async fn next_frame<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut BytesMut,
    max: usize,
) -> io::Result<Option<Bytes>> {
    loop {
        if let Some(frame) = frame::take(buffer, max).map_err(io::Error::other)? {
            return Ok(Some(frame));
        }
        if buffer.capacity() - buffer.len() < READ_SIZE / 16 {
            buffer.reserve(READ_SIZE);
        }
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    }
}

/// Writes all pieces, with vectored writes if the stream supports them.
async fn write_all<S: AsyncWrite + Unpin>(stream: &mut S, pieces: Vec<Bytes>) -> io::Result<()> {
    if pieces.len() == 1 || !stream.is_write_vectored() {
        for piece in pieces {
            stream.write_all(&piece).await?;
        }
        return stream.flush().await;
    }
    let mut left: std::collections::VecDeque<Bytes> = pieces.into();
    while !left.is_empty() {
        let slices: Vec<IoSlice<'_>> = left
            .iter()
            .take(MAX_SLICES)
            .map(|piece| IoSlice::new(piece))
            .collect();
        let mut written = stream.write_vectored(&slices).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(front) = left.front_mut() {
            if front.len() > written {
                front.advance(written);
                break;
            }
            written -= front.len();
            left.pop_front();
        }
    }
    stream.flush().await
}

/// Keeps the connection open and silent until the client closes it.
async fn drain<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut sink = [0u8; 1024];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

/// The room in bytes to make for a read.
const READ_SIZE: usize = 64 << 10;
/// The largest number of pieces in one vectored write.
const MAX_SLICES: usize = 256;
