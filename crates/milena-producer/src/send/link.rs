//! One of the connections of the send task to a broker.

use std::sync::Arc;
use std::time::Duration;

use milena_core::Backoff;
use tokio::time::Instant;

use crate::network::Wire;
use crate::send::crowd::Crowd;
use crate::send::pace::{Flood, Load};
use crate::send::request::Figures;

/// One connection to a broker.
pub(super) struct Link {
    /// The state of the connection.
    state: LinkState,
    /// The requests without an answer.
    in_flight: usize,
    /// The requests without an answer that hold a full batch.
    full_in_flight: usize,
    /// The looks that show whether partitions wait behind each other here.
    crowd: Crowd,
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
pub(super) enum LinkState {
    /// No connection was asked for yet, or the last one ended.
    Down,
    /// The connection is being made.
    Dialing,
    /// The connection can send.
    Up(Arc<dyn Wire>),
}

/// The next step towards sending on a link.
pub(super) enum LinkStanding {
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
    pub(super) fn new() -> Self {
        Self {
            state: LinkState::Down,
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
    pub(super) fn standing(&mut self, now: Instant) -> LinkStanding {
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
    pub(super) fn dialing(&mut self) {
        self.state = LinkState::Dialing;
    }

    /// Notes that the connection was made.
    pub(super) fn up(&mut self, wire: Arc<dyn Wire>) {
        self.failures = 0;
        self.not_before = None;
        self.state = LinkState::Up(wire);
    }

    /// Notes that the connection could not be made, and sets the wait before the next attempt.
    pub(super) fn down(&mut self, now: Instant, backoff: &Backoff) {
        self.not_before = Some(now + backoff.delay(self.failures));
        self.failures = self.failures.saturating_add(1);
        self.state = LinkState::Down;
    }

    /// Sends nothing for `wait`, as the broker asked.
    pub(super) fn throttle(&self, wait: Duration) {
        if let LinkState::Up(wire) = &self.state {
            wire.throttle(wait);
        }
    }

    /// Returns the requests without an answer.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the requests without an answer that hold a full batch.
    pub(super) fn full_in_flight(&self) -> usize {
        self.full_in_flight
    }

    /// Returns the looks that show whether partitions wait behind each other here.
    pub(super) fn crowd(&mut self) -> &mut Crowd {
        &mut self.crowd
    }

    /// Notes that a request was handed to the connection.
    pub(super) fn sent(&mut self, figures: &Figures, now: Instant) {
        self.in_flight += 1;
        self.full_in_flight += usize::from(figures.full);
        if figures.partial > 0 {
            let after = self.last_partial.map(|last| now.duration_since(last));
            self.flood.note(figures.records, figures.bytes, after);
            self.last_partial = Some(now);
        }
    }

    /// Notes that a request has its answer, or failed. `full` is true if it held a full batch.
    pub(super) fn answered(&mut self, full: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.full_in_flight = self.full_in_flight.saturating_sub(usize::from(full));
    }

    /// Returns the figures that decide when partial batches may leave.
    pub(super) fn load(&self, wire: &dyn Wire) -> Load {
        Load {
            in_flight: self.in_flight,
            last_partial: self.last_partial,
            flood: self.flood.is_on(),
            srtt: wire.srtt(),
        }
    }
}
