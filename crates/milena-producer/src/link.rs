//! One of the sender's connections to a broker, and the partitions that wait their turn on it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use milena_core::Backoff;
use tokio::time::Instant;

use crate::fan::Crowd;
use crate::network::{LinkId, Wire};
use crate::pace::{Flood, Load};

/// One connection.
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) state: LinkState,
    /// Partitions that have, or may have, something to send; first come, first served.
    pub(crate) turn: VecDeque<u32>,
    pub(crate) in_flight: usize,
    /// How many of them carry full batches.
    pub(crate) full_in_flight: usize,
    pub(crate) crowd: Crowd,
    last_partial: Option<Instant>,
    flood: Flood,
    not_before: Option<Instant>,
    failures: u32,
}

pub(crate) enum LinkState {
    /// Nobody asked for a connection yet, or the last one ended.
    Down,
    /// It is being made.
    Dialing,
    Up(Arc<dyn Wire>),
}

/// Whether a link can send.
pub(crate) enum Standing {
    /// It can.
    Up(Arc<dyn Wire>),
    /// It has to be dialed.
    Dial,
    /// Not before this time.
    Not(Instant),
    /// Not before the dialing ends.
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

    /// Whether it can send now.
    pub(crate) fn standing(&mut self, now: Instant) -> Standing {
        if let LinkState::Up(wire) = &self.state {
            if !wire.is_closed() {
                return match wire.muted_until() {
                    Some(until) if until > now => Standing::Not(until),
                    _ => Standing::Up(wire.clone()),
                };
            }
            self.state = LinkState::Down;
        }
        match (&self.state, self.not_before) {
            (LinkState::Dialing, _) => Standing::Later,
            (_, Some(time)) if time > now => Standing::Not(time),
            _ => Standing::Dial,
        }
    }

    pub(crate) fn dialing(&mut self) {
        self.state = LinkState::Dialing;
    }

    pub(crate) fn up(&mut self, wire: Arc<dyn Wire>) {
        self.failures = 0;
        self.not_before = None;
        self.state = LinkState::Up(wire);
    }

    pub(crate) fn down(&mut self, now: Instant, backoff: &Backoff) {
        self.not_before = Some(now + backoff.delay(self.failures));
        self.failures = self.failures.saturating_add(1);
        self.state = LinkState::Down;
    }

    /// Keeps silent for a while, as the broker asked.
    pub(crate) fn throttle(&self, wait: Duration) {
        if let LinkState::Up(wire) = &self.state {
            wire.throttle(wait);
        }
    }

    /// Notes that partial batches left, in a request of so many records and bytes.
    pub(crate) fn sent_partial(&mut self, now: Instant, records: u64, bytes: usize) {
        let after = self.last_partial.map(|last| now.duration_since(last));
        self.flood.note(records, bytes, after);
        self.last_partial = Some(now);
    }

    pub(crate) fn load(&self, wire: &dyn Wire) -> Load {
        Load {
            in_flight: self.in_flight,
            last_partial: self.last_partial,
            flood: self.flood.is_on(),
            srtt: wire.srtt(),
        }
    }
}
