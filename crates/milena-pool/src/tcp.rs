//! TCP connections. All addresses of a name are tried, with staggered starts, and the first to
//! connect wins.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use milena_core::Address;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::connect::{BoxFuture, BoxStream, Connect};
use crate::race::first;

type Resolve = dyn Fn(Address) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Connects over TCP with `TCP_NODELAY` and keepalive.
///
/// Each dial resolves the name again, because other clients kept addresses of brokers that had
/// moved (KIP-302). The addresses are tried in turn, IPv6 and IPv4 alternating. The next attempt
/// starts 250 ms after the one before, or as soon as one failed. The first to connect wins (RFC
/// 8305).
#[derive(Clone)]
pub struct TcpConnect {
    /// Silence after which the system probes the peer. `None` turns probes off.
    keepalive: Option<Duration>,
    /// Resolves a name to addresses.
    resolve: Arc<Resolve>,
}

impl TcpConnect {
    /// Creates a connector with keepalive after 60 s. The operating system resolves names.
    #[must_use]
    pub fn new() -> Self {
        Self {
            keepalive: Some(Duration::from_secs(60)),
            resolve: Arc::new(|address| {
                Box::pin(async move {
                    let found = tokio::net::lookup_host((address.host(), address.port())).await?;
                    Ok(found.collect())
                })
            }),
        }
    }

    /// Sets the time for which a connection may be silent before the system probes the peer. `None`
    /// turns probes off. Default 60 s, because firewalls usually allow longer silence.
    #[must_use]
    pub fn keepalive(mut self, after: Option<Duration>) -> Self {
        self.keepalive = after;
        self
    }

    /// Resolves names with `resolve` instead of the operating system. Called at each dial.
    #[must_use]
    pub fn resolver(
        mut self,
        resolve: impl Fn(Address) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.resolve = Arc::new(resolve);
        self
    }

    /// Resolves the name, connects, and sets the socket options.
    async fn open(&self, address: &Address) -> io::Result<TcpStream> {
        let found = (self.resolve)(address.clone()).await;
        let found = found.map_err(|error| unresolved(address, error))?;
        let stream = race(alternate(found)).await?;
        stream.set_nodelay(true)?;
        if let Some(after) = self.keepalive {
            SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(after))?;
        }
        Ok(stream)
    }
}

impl Default for TcpConnect {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TcpConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpConnect")
            .field("keepalive", &self.keepalive)
            .finish_non_exhaustive()
    }
}

impl Connect for TcpConnect {
    fn dial<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let stream = self.open(address).await?;
            Ok(Box::new(stream) as BoxStream)
        })
    }
}

/// Explains an error for the name of an embedded broker without a listener. Only the broker's own
/// dialer can reach that name.
fn unresolved(address: &Address, error: io::Error) -> io::Error {
    if !address.host().ends_with(".memory") {
        return error;
    }
    let what = format!(
        "{error}: {} is the name of an embedded broker in memory; give the client its connector (`connector(broker.dialer())`), or the \
         broker an address to listen on (`listen`)",
        address.host()
    );
    io::Error::new(error.kind(), what)
}

/// Orders addresses so that the address families alternate. The resolver's first address comes
/// first, and each family keeps the resolver's order.
fn alternate(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let six_first = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|address| address.is_ipv6() == six_first);
    let mut mixed = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        match (first.next(), second.next()) {
            (None, None) => return mixed,
            (a, b) => mixed.extend(a.into_iter().chain(b)),
        }
    }
}

/// Connects to the addresses with staggered starts. Returns the first stream that connects.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let attempt = |address| async move {
        let connected = TcpStream::connect(address).await;
        connected.map_err(|error| (error.kind(), format!("{address}: {error}")))
    };
    let failures = match first(addresses, STAGGER, attempt).await {
        Ok(stream) => return Ok(stream),
        Err(failures) => failures,
    };
    let Some((kind, _)) = failures.last() else {
        let kind = io::ErrorKind::AddrNotAvailable;
        return Err(io::Error::new(kind, "the name has no addresses"));
    };
    let texts: Vec<_> = failures.iter().map(|(_, text)| text.as_str()).collect();
    Err(io::Error::new(*kind, texts.join("; ")))
}

const STAGGER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_name_of_a_broker_in_memory_is_told_apart() {
        let address = Address::new("broker-1.memory", 9_092);
        let nowhere = TcpConnect::new()
            .resolver(|_| Box::pin(async { Err(io::Error::other("failed to lookup")) }));
        let error = nowhere.dial(&address).await.err().unwrap().to_string();
        assert!(error.contains("connector(broker.dialer())"), "{error}");
        let other = Address::new("broker-1.example", 9_092);
        let error = nowhere.dial(&other).await.err().unwrap().to_string();
        assert!(!error.contains("dialer"), "{error}");
    }

    #[test]
    fn the_families_alternate_from_the_resolvers_first() {
        let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mixed = alternate(
            ["[::1]:1", "[::2]:1", "127.0.0.1:1", "127.0.0.2:1"]
                .map(parse)
                .to_vec(),
        );
        let expected = ["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1"].map(parse);
        assert_eq!(mixed, expected);
        assert!(alternate(Vec::new()).is_empty());
    }
}
