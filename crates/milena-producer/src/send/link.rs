//! One of the sender's connections to a broker, and the partitions that wait for their turn on it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use milena_core::Backoff;
use tokio::time::Instant;

use crate::network::{LinkId, Wire};
use crate::send::pace::{Flood, Load};
use crate::send::spread::Crowd;

/// One connection to a broker.
pub(crate) struct Link {
    /// The broker, and the number of the connection.
    pub(crate) id: LinkId,
    /// The state of the connection.
    pub(crate) state: LinkState,
    /// Partitions that have, or may have, something to send, in the order in which they are served.
    /// Each has `Outlet::listed` set.
    pub(crate) turn: VecDeque<u32>,
    /// The requests without an answer.
    pub(crate) in_flight: usize,
    /// The requests without an answer that hold a full batch.
    pub(crate) full_in_flight: usize,
    /// The looks that show whether partitions wait behind each other here.
    pub(crate) crowd: Crowd,
    /// The time at which a partial batch last left. `None` before the first.
    last_partial: Option<Instant>,
    /// The state that shows whether callers enqueue without a pause.
    flood: Flood,
    /// The connection is not dialed before this time. Set by a failed attempt, cleared by a
    /// success.
    not_before: Option<Instant>,
    /// The failed attempts since the last success, for the backoff.
    failures: u32,
}

/// The state of a connection.
pub(crate) enum LinkState {
    /// No connection was asked for yet, or the last one ended.
    Down,
    /// The connection is being made.
    Dialing,
    /// The connection can send.
    Up(Arc<dyn Wire>),
}

/// The next step towards sending on a link.
pub(crate) enum LinkStanding {
    /// The link can send.
    Up(Arc<dyn Wire>),
    /// The link has to be dialed.
    Dial,
    /// The link cannot send before this time.
    Not(Instant),
    /// The link cannot send before the dialing ends.
    Later,
}

impl Link {
    pub(crate) fn new(id: LinkId) -> Self {
        Self {
            id,
            state: LinkState::Down,
            turn: VecDeque::new(),
            in_flight: 0,
            full_in_flight: 0,
            crowd: Crowd::default(),
            last_partial: None,
            flood: Flood::default(),
            not_before: None,
            failures: 0,
        }
    }

    /// Decides whether the link can send now. Notes it if the connection has ended.
    pub(crate) fn standing(&mut self, now: Instant) -> LinkStanding {
        if let LinkState::Up(wire) = &self.state {
            if !wire.is_closed() {
                return match wire.muted_until() {
                    Some(until) if until > now => LinkStanding::Not(until),
                    _ => LinkStanding::Up(wire.clone()),
                };
            }
            self.state = LinkState::Down;
        }
        match (&self.state, self.not_before) {
            (LinkState::Dialing, _) => LinkStanding::Later,
            (_, Some(time)) if time > now => LinkStanding::Not(time),
            _ => LinkStanding::Dial,
        }
    }

    /// Notes that the connection is being made.
    pub(crate) fn dialing(&mut self) {
        self.state = LinkState::Dialing;
    }

    /// Notes that the connection was made.
    pub(crate) fn up(&mut self, wire: Arc<dyn Wire>) {
        self.failures = 0;
        self.not_before = None;
        self.state = LinkState::Up(wire);
    }

    /// Notes that the connection could not be made, and sets the wait before the next attempt.
    pub(crate) fn down(&mut self, now: Instant, backoff: &Backoff) {
        self.not_before = Some(now + backoff.delay(self.failures));
        self.failures = self.failures.saturating_add(1);
        self.state = LinkState::Down;
    }

    /// Sends nothing for `wait`, as the broker asked.
    pub(crate) fn throttle(&self, wait: Duration) {
        if let LinkState::Up(wire) = &self.state {
            wire.throttle(wait);
        }
    }

    /// Notes that partial batches left, in a request of this many records and bytes.
    pub(crate) fn sent_partial(&mut self, now: Instant, records: u64, bytes: usize) {
        let after = self.last_partial.map(|last| now.duration_since(last));
        self.flood.note(records, bytes, after);
        self.last_partial = Some(now);
    }

    /// Returns the figures that decide when partial batches may leave.
    pub(crate) fn load(&self, wire: &dyn Wire) -> Load {
        Load {
            in_flight: self.in_flight,
            last_partial: self.last_partial,
            flood: self.flood.is_on(),
            srtt: wire.srtt(),
        }
    }
}
