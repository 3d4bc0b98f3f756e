//! TCP: every address of a name is tried, staggered, and the first that answers wins.

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
/// A name is resolved anew at each dial (KIP-302 and the clients that cached dead addresses taught
/// that). Its addresses are tried in turn, IPv6 and IPv4 alternating; the next one starts 250 ms
/// after the one before, or as soon as that one failed, and the first to connect wins (RFC 8305).
#[derive(Clone)]
pub struct TcpConnect {
    keepalive: Option<Duration>,
    resolve: Arc<Resolve>,
}

impl TcpConnect {
    /// Keepalive after 60 s of silence, names resolved by the operating system.
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

    /// How long a connection may be silent before the system probes the peer; `None` turns probes
    /// off. Default 60 s: below the usual idle limits of firewalls.
    #[must_use]
    pub fn keepalive(mut self, after: Option<Duration>) -> Self {
        self.keepalive = after;
        self
    }

    /// Resolves names by `resolve` instead of the operating system; called at each dial.
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

/// An embedded broker without a listener advertises a name that only its own dialer knows.
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

/// Orders addresses so that the families alternate, each in the resolver's order, its first in front.
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

/// Connects to the addresses, staggered; the first stream wins.
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
