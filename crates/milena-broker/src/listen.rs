//! The listeners of brokers, for TCP sockets and in-memory pipes.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use milena_core::Address;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpSocket};

use crate::cluster::Cluster;
use crate::connection::{Peer, serve};
use crate::node::Node;

/// Binds a listening socket. Port 0 takes a free port.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Accepts connections for `node` until it goes down.
pub(crate) fn accept(cluster: &Arc<Cluster>, node: &Arc<Node>, listener: TcpListener) {
    let run = node.listener();
    let (of_cluster, node) = (Arc::clone(cluster), Arc::clone(node));
    cluster.tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = async { run.cancelled().await; } => return,
            };
            let Ok((stream, from)) = accepted else {
                // The process is out of file descriptors, or the connection was reset before it was
                // accepted.
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            };
            // With Nagle's algorithm small answers would wait for acknowledgements. A socket that
            // refuses the option still works.
            let _ = stream.set_nodelay(true);
            let peer = Peer::new(&of_cluster, &node, format!("/{}", from.ip()));
            of_cluster
                .tasks
                .spawn(serve(stream, peer, node.connections()));
        }
    });
}

/// Brings a broker back, with its listener if it had one.
pub(crate) fn bring_up(cluster: &Arc<Cluster>, id: i32) {
    if !cluster.broker_up(id) {
        return;
    }
    let Some(node) = cluster.node(id) else {
        return;
    };
    if let Some(address) = node.listens_at() {
        match bind(address) {
            Ok(listener) => accept(cluster, node, listener),
            Err(error) => {
                tracing::error!(node = id, %address, %error, "a broker cannot listen again");
            }
        }
    }
}

/// Opens a connection in memory to the broker that is advertised at `address`.
pub(crate) fn dial(cluster: &Arc<Cluster>, address: &Address) -> io::Result<DuplexStream> {
    let refused = |why: String| io::Error::new(io::ErrorKind::ConnectionRefused, why);
    if cluster.stop.is_cancelled() {
        return Err(refused("the cluster was shut down".to_owned()));
    }
    let node = cluster
        .nodes
        .iter()
        .find(|node| node.address() == *address)
        .ok_or_else(|| refused(format!("no broker is at {address}")))?;
    if !node.is_up() {
        return Err(refused(format!("the broker at {address} is down")));
    }
    let (ours, theirs) = tokio::io::duplex(PIPE_SIZE);
    let peer = Peer::new(cluster, node, "/127.0.0.1");
    cluster.tasks.spawn(serve(ours, peer, node.connections()));
    Ok(theirs)
}

/// Returns a closure over [`dial`]. It holds the cluster weakly, so that it does not keep it alive.
pub(crate) fn dialer(
    cluster: &Arc<Cluster>,
) -> impl Fn(Address) -> std::pin::Pin<Box<dyn Future<Output = io::Result<DuplexStream>> + Send>>
+ Clone
+ Send
+ Sync
+ 'static {
    let cluster = Arc::downgrade(cluster);
    move |address: Address| {
        let dialled = match cluster.upgrade() {
            Some(cluster) => dial(&cluster, &address),
            None => Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "the cluster is gone",
            )),
        };
        Box::pin(std::future::ready(dialled)) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
    }
}

/// The bytes that a connection in memory buffers in each direction.
const PIPE_SIZE: usize = 256 << 10;
