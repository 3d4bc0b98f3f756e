//! The connections to brokers: dialing them, and counting what is in flight on each.

use std::collections::HashMap;
use std::sync::Arc;

use milena_core::{Error, NodeId, Result};
use tokio::time::{Duration, Instant};

use crate::network::{LinkId, Network, Wire};
use crate::send::link::{Link, LinkStanding};
use crate::send::outlets::Outlets;
use crate::send::pace::Load;
use crate::send::request::{Answer, Figures};
use crate::send::spread::share;
use crate::send::verdict;
use crate::send::wake::Wake;
use crate::send::window::{Share, Windows};
use crate::send::work::{Done, Work};
use crate::settings::Settings;

/// The connections of the send task. Only it dials, and counts what is in flight.
pub(super) struct Links {
    /// The cluster that connections lead to.
    network: Arc<dyn Network>,
    /// The checked settings, for the limits of a connection.
    settings: Arc<Settings>,
    /// The connections by broker and number. Entries are never removed.
    all: HashMap<LinkId, Link>,
    /// The bytes that may be in flight to each broker, over all connections to it.
    windows: Windows,
}

impl Links {
    pub(super) fn new(network: Arc<dyn Network>, settings: Arc<Settings>) -> Self {
        Self {
            network,
            settings,
            all: HashMap::new(),
            windows: Windows::default(),
        }
    }

    /// Returns a connection, a new one if it was never asked for.
    fn link(&mut self, on: LinkId) -> &mut Link {
        self.all.entry(on).or_insert_with(Link::new)
    }

    /// Returns the wire of a connection that can send now. Otherwise dials it, or notes in `wake`
    /// when it may be tried again.
    pub(super) fn wire(
        &mut self,
        on: LinkId,
        now: Instant,
        work: &Work,
        wake: &mut Wake,
    ) -> Option<Arc<dyn Wire>> {
        match self.link(on).standing(now) {
            LinkStanding::Up(wire) => return Some(wire),
            LinkStanding::Not(time) => wake.at(time),
            LinkStanding::Later => {}
            LinkStanding::Dial => {
                self.link(on).dialing();
                let dialing = self.network.connect(on);
                work.push(async move { Done::Dialed(on, dialing.await) });
            }
        }
        None
    }

    /// Takes a new connection, or the failure to open one. Returns the reason of a failure.
    pub(super) fn dialed(
        &mut self,
        on: LinkId,
        result: Result<Arc<dyn Wire>>,
        now: Instant,
    ) -> Option<Error> {
        let backoff = self.settings.rules.backoff;
        let link = self.link(on);
        match result {
            Ok(wire) => {
                link.up(wire);
                None
            }
            Err(error) => {
                link.down(now, &backoff);
                Some(error)
            }
        }
    }

    /// Returns the most bytes of the next request on a connection. `None` while it has as many
    /// requests in flight, or its broker as many bytes, as the limits allow.
    pub(super) fn room(&mut self, on: LinkId) -> Option<usize> {
        let in_flight = self.link(on).in_flight();
        let window = self.windows.of(on.node);
        if in_flight >= self.settings.max_in_flight || !window.is_open() {
            return None;
        }
        Some(self.settings.max_request_size.min(window.room()))
    }

    /// Returns the figures that decide when partial batches may leave on a connection.
    pub(super) fn load(&mut self, on: LinkId, wire: &dyn Wire) -> Load {
        self.link(on).load(wire)
    }

    /// Notes that a request is handed to a connection. Returns the part of the window that it
    /// holds.
    pub(super) fn sent(&mut self, on: LinkId, figures: &Figures, now: Instant) -> Share {
        self.windows.of(on.node).sent(figures.bytes);
        self.link(on).sent(figures, now);
        Share {
            bytes: figures.bytes,
            since: now,
        }
    }

    /// Notes that a request has its answer, or failed.
    pub(super) fn answered(&mut self, answer: &Answer, now: Instant) {
        let share = answer.share;
        let window = self.windows.of(answer.link.node);
        match &answer.result {
            Ok(_) => {
                let took = now.saturating_duration_since(share.since);
                window.answered(share.bytes, took, self.settings.request_timeout);
            }
            Err(error) if verdict::was_not_taken(error) => window.returned(share.bytes),
            Err(_) => window.lost(share.bytes),
        }
        self.link(answer.link).answered(answer.full);
    }

    /// Sends nothing to a broker for `wait`, as it asked.
    pub(super) fn throttle(&self, node: NodeId, wait: Duration) {
        let links = self.all.iter().filter(|(id, _)| id.node == node);
        links.for_each(|(_, link)| link.throttle(wait));
    }

    /// Checks whether partitions wait behind each other on a connection, and moves half of them to
    /// another one.
    ///
    /// Does nothing unless the connection was crowded in four looks in a row.
    pub(super) fn relieve(&mut self, on: LinkId, outlets: &mut Outlets, now: Instant, work: &Work) {
        let most = usize::from(self.settings.max_connections);
        if most < 2 || !self.link(on).crowd().is_due(now) {
            return;
        }
        // Crowded means that the broker works on one request while another waits behind it. On a
        // slow link requests wait for the link, and another connection would not help.
        let crowded = !self.windows.of(on.node).is_slow()
            && self.link(on).full_in_flight() >= self.settings.max_in_flight.min(2)
            && outlets.loaded_on(on).nth(1).is_some();
        if !self.link(on).crowd().note(crowded, now) || !outlets.spread().may_grow(on.node, now) {
            return;
        }
        let loads = outlets.loads(on.node, most);
        let Some((to, count)) = share(&loads, usize::from(on.number)) else {
            return;
        };
        let to = LinkId {
            number: u8::try_from(to).unwrap_or_default(),
            ..on
        };
        // The connection is opened before any partition moves to it, so that those can send at
        // once.
        if self.wire(to, now, work, &mut Wake::default()).is_none() {
            return;
        }
        tracing::debug!(node = %on.node, connection = to.number, partitions = count, "partitions move to another connection");
        outlets.spread().grown(on.node, now);
        outlets.move_loaded(on, to.number, count);
    }
}
