//! One metadata refresh: the brokers to ask, their order, and the use of the answer.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Address, Error, ErrorCode, ErrorKind, Event, NodeId, Result, TopicName};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::metadata_request::MetadataRequestTopic;
use milena_protocol::messages::{MetadataRequest, MetadataResponse, TopicName as WireName};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::core::ClusterCore;
use crate::doubts::Source;
use crate::merge::merge;
use crate::metadata::Metadata;
use crate::race::first;
use crate::tasks::closed;
use crate::wanted::Scope;

/// A way to reach a broker that can be asked for metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// A broker in the metadata.
    Known(NodeId),
    /// A bootstrap address.
    Bootstrap(Address),
}

/// An attempt that failed.
struct Failure {
    /// The broker or address that was asked.
    way: Way,
    /// The reason why it failed.
    error: Error,
}

impl ClusterCore {
    /// Asks brokers for metadata until one answers. Returns true if the answer was new.
    ///
    /// A broker that does not answer does not delay the others. The next one is asked while this
    /// one is still awaited. With `another`, the brokers that have not answered for longest are
    /// asked first, because the usual one may lag behind the others.
    pub(crate) async fn renew(self: &Arc<Self>, scope: &Scope, another: bool) -> Result<bool> {
        let mut is_new = self.renew_once(scope, another).await?;
        for _ in 0..MORE_WITNESSES {
            if !self.doubts.lock().want_a_witness() {
                break;
            }
            // The waiters of this refresh need confirmed metadata, so ask other brokers before it
            // ends.
            match self.renew_once(scope, true).await {
                Ok(more) => is_new |= more,
                Err(_) => break,
            }
        }
        Ok(is_new)
    }

    /// Asks until one broker answers, and merges the answer.
    async fn renew_once(self: &Arc<Self>, scope: &Scope, another: bool) -> Result<bool> {
        let started = Instant::now();
        let mut known = self.by_load();
        {
            let doubts = self.doubts.lock();
            // Ask the brokers first that have not answered for longest. The one asked last would
            // only repeat its answer.
            if another || doubts.are_open() {
                known.sort_by_key(|node| doubts.turn_of(*node));
            }
        }
        let had_known = !known.is_empty();
        let ways = ways(known, self.shuffled_bootstrap());
        let (node, answer) = match self.ask_ways(ways, scope).await {
            Ok((Way::Known(node), answer)) if starts_over(&answer) => {
                // With this code the cluster asks its clients to start again from their bootstrap
                // addresses (KIP-1102).
                let error = Error::broker(ErrorCode::REBOOTSTRAP_REQUIRED).node(node);
                self.tell_rebootstrap(&error);
                let ways = self.shuffled_bootstrap().into_iter().map(Way::Bootstrap);
                let asked = self.ask_ways(ways.collect(), scope).await;
                (None, asked.map_err(|failed| self.unreachable(&failed))?.1)
            }
            Ok((Way::Known(node), answer)) => (Some(node), answer),
            Ok((Way::Bootstrap(_), answer)) => {
                if had_known {
                    let what = "the known brokers did not answer";
                    self.tell_rebootstrap(&Error::new(ErrorKind::Timeout, what));
                }
                (None, answer)
            }
            Err(failed) => {
                if had_known {
                    let last = failed.iter().rev();
                    let mut last = last.filter(|failure| matches!(failure.way, Way::Known(_)));
                    if let Some(failure) = last.next() {
                        self.tell_rebootstrap(&failure.error);
                    }
                }
                return Err(self.unreachable(&failed));
            }
        };
        let is_new = self.accept(node, &answer, scope)?;
        let metadata = self.metadata.load();
        self.dialer
            .options
            .observers
            .emit(|| Event::MetadataRefreshed {
                brokers: metadata.brokers.len(),
                topics: metadata.topics.len(),
                elapsed: started.elapsed(),
            });
        Ok(is_new)
    }

    /// Returns the topics that a refresh of the whole metadata asks for. Removes topics that were
    /// not used for a long time.
    pub(crate) fn scope_of_all(&self) -> Scope {
        let metadata = self.metadata.load();
        let mut wanted = self.wanted.lock();
        let idle = self.timing.metadata_max_idle;
        wanted.forget_idle(idle, Instant::now(), |name| metadata.topics.take_use(name));
        wanted.scope()
    }

    /// Returns the bootstrap addresses in random order.
    fn shuffled_bootstrap(&self) -> Vec<Address> {
        let mut addresses = self.bootstrap.clone();
        fastrand::shuffle(&mut addresses);
        addresses
    }

    fn tell_rebootstrap(&self, error: &Error) {
        let observers = &self.dialer.options.observers;
        observers.emit(|| Event::Rebootstrap { error });
    }

    /// Asks in the order of `ways`, with staggered starts. The first answer wins.
    async fn ask_ways(
        self: &Arc<Self>,
        ways: Vec<Way>,
        scope: &Scope,
    ) -> Result<(Way, MetadataResponse), Vec<Failure>> {
        first(ways, PATIENCE, |way| async move {
            match self.ask_way(&way, scope).await {
                Ok(answer) => Ok((way, answer)),
                Err(error) => Err(Failure { way, error }),
            }
        })
        .await
    }

    /// Asks one broker. Refuses the answer of another cluster.
    async fn ask_way(self: &Arc<Self>, way: &Way, scope: &Scope) -> Result<MetadataResponse> {
        let answer = match way {
            Way::Known(node) => {
                let connection = self.broker(*node)?.check_out().await?;
                ask(&connection, scope).await?
            }
            // Each dial resolves the name again (KIP-899).
            Way::Bootstrap(address) => {
                let connection = self.dialer.dial(address, None).await?;
                ask(&connection, scope).await?
            }
        };
        same_cluster(&self.metadata.load(), &answer)?;
        Ok(answer)
    }

    /// Creates the error of a refresh that no broker answered. It names each bootstrap address and
    /// its failure.
    fn unreachable(&self, failed: &[Failure]) -> Error {
        let known = failed.iter().filter(|f| matches!(f.way, Way::Known(_)));
        let known = known.count();
        let mut texts: Vec<_> = failed
            .iter()
            .filter_map(|failure| match &failure.way {
                Way::Bootstrap(address) => Some(format!("{address}: {}", failure.error.message())),
                Way::Known(_) => None,
            })
            .collect();
        if known > 0 {
            texts.push(format!("{known} known brokers"));
        }
        let is_bootstrap = |failure: &&Failure| matches!(failure.way, Way::Bootstrap(_));
        let last = failed.iter().rev().find(is_bootstrap).or(failed.last());
        let last = last.map(|failure| failure.error.clone());
        let kind = last.as_ref().map_or(ErrorKind::Transport, Error::kind);
        let what = format!("no broker could be reached; tried {}", texts.join(", "));
        let error = Error::new(kind, what).setting("bootstrap.servers");
        match (self.bootstrap.as_slice(), last) {
            ([only], Some(last)) => error.address(only).with_source(last),
            (_, Some(last)) => error.with_source(last),
            _ => error,
        }
    }

    /// Merges an answer into the metadata. Returns true if it was new.
    fn accept(
        self: &Arc<Self>,
        node: Option<NodeId>,
        answer: &MetadataResponse,
        scope: &Scope,
    ) -> Result<bool> {
        if let Some(code) = ErrorCode::from_wire(answer.error_code) {
            return Err(Error::broker(code).api("Metadata"));
        }
        if self.signals.closing.is_cancelled() {
            return Err(closed());
        }
        let mut is_new = false;
        self.change(|old| {
            let from = Source {
                node,
                alone: answer.brokers.len() <= 1,
                now: Instant::now(),
            };
            let merged = merge(old, answer, scope, &mut self.doubts.lock(), from);
            is_new = merged.is_new;
            Some(merged.picture)
        });
        if self.metadata.load().brokers.is_empty() {
            let what = "the answer to Metadata names no broker";
            return Err(Error::new(ErrorKind::Transport, what).api("Metadata"));
        }
        if !matches!(scope, Scope::Part(_)) {
            self.renewed();
        }
        Ok(is_new)
    }
}

/// Returns the order in which to ask. Some known brokers come first, then bootstrap addresses and
/// known brokers in turn, so that a cluster whose brokers all moved is found soon.
fn ways(known: Vec<NodeId>, bootstrap: Vec<Address>) -> Vec<Way> {
    let mut known = known.into_iter().map(Way::Known);
    let mut ways: Vec<_> = known.by_ref().take(KNOWN_FIRST).collect();
    for address in bootstrap {
        ways.push(Way::Bootstrap(address));
        ways.extend(known.next());
    }
    ways.extend(known);
    ways
}

/// Returns true if the broker asks the client to start again from its bootstrap addresses.
fn starts_over(answer: &MetadataResponse) -> bool {
    answer.error_code == ErrorCode::REBOOTSTRAP_REQUIRED.to_wire()
}

/// Refuses the answer of another cluster. An address may lead to another cluster now, which must
/// not change the metadata of this one.
fn same_cluster(known: &Metadata, answer: &MetadataResponse) -> Result<()> {
    let Some((ours, theirs)) = known.cluster_id().zip(answer.cluster_id.as_ref()) else {
        return Ok(());
    };
    if ours == theirs.as_str() {
        return Ok(());
    }
    let what = format!(
        "the broker belongs to the cluster {theirs}, this client to the cluster {ours}; create a new client for another cluster"
    );
    Err(Error::new(ErrorKind::State, what).api("Metadata"))
}

/// Sends one Metadata request.
async fn ask(connection: &Connection, scope: &Scope) -> Result<MetadataResponse> {
    let named = |name: &TopicName| {
        let name = StrBytes::from_string(name.to_string());
        MetadataRequestTopic::default().with_name(Some(WireName(name)))
    };
    let topics = scope.names().map(|names| names.iter().map(named).collect());
    let request = MetadataRequest::default()
        .with_topics(topics)
        .with_allow_auto_topic_creation(false);
    connection.call(&request).await
}

/// Time after which the next broker is asked while this one is still awaited.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most further brokers asked in one refresh to confirm a claim.
const MORE_WITNESSES: usize = 2;
/// Number of known brokers that are tried before the first bootstrap address.
const KNOWN_FIRST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_known_brokers_come_first_and_bootstrap_addresses_among_the_rest() {
        let known = |ids: std::ops::RangeInclusive<i32>| {
            ids.filter_map(NodeId::from_wire).collect::<Vec<_>>()
        };
        let address = |text: &str| Address::new(text, 1);
        let shown = |ways: Vec<Way>| {
            let shown = ways.into_iter().map(|way| match way {
                Way::Known(node) => node.to_string(),
                Way::Bootstrap(address) => address.host().to_owned(),
            });
            shown.collect::<Vec<_>>().join(" ")
        };
        let two = || vec![address("a"), address("b")];
        assert_eq!(shown(ways(known(1..=7), two())), "1 2 3 a 4 b 5 6 7");
        assert_eq!(shown(ways(known(1..=2), two())), "1 2 a b");
        assert_eq!(shown(ways(Vec::new(), two())), "a b");
    }
}
