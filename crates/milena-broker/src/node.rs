//! One broker of the cluster: its address, whether it is up, and its fetch sessions.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::{Address, CancelToken};
use parking_lot::{Mutex, RwLock};

use crate::session::Sessions;

/// A broker.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) rack: Option<String>,
    advertised: RwLock<Address>,
    listens_at: Option<SocketAddr>,
    up: AtomicBool,
    /// Ends the connections of the present run; renewed when the broker comes back.
    run: Mutex<CancelToken>,
    pub(crate) sessions: Mutex<Sessions>,
}

impl Node {
    pub(crate) fn new(
        id: i32,
        advertised: Address,
        stop: &CancelToken,
        max_sessions: usize,
    ) -> Self {
        Self {
            id,
            rack: None,
            listens_at: None,
            advertised: RwLock::new(advertised),
            up: AtomicBool::new(true),
            run: Mutex::new(stop.child()),
            sessions: Mutex::new(Sessions::new(max_sessions)),
        }
    }

    /// The same, in this rack.
    pub(crate) fn racked(mut self, rack: Option<&String>) -> Self {
        self.rack = rack.cloned();
        self
    }

    /// The same, at this socket address too.
    pub(crate) fn listening(mut self, at: SocketAddr) -> Self {
        self.listens_at = Some(at);
        self
    }

    /// Where it listens; `None` where it can only be dialled in memory.
    pub(crate) fn listens_at(&self) -> Option<SocketAddr> {
        self.listens_at
    }

    pub(crate) fn address(&self) -> Address {
        self.advertised.read().clone()
    }

    pub(crate) fn advertise(&self, address: Address) {
        *self.advertised.write() = address;
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// The token that ends with the present run.
    pub(crate) fn run(&self) -> CancelToken {
        self.run.lock().clone()
    }

    /// Goes down: connections and the listener end. Gives whether it was up.
    pub(crate) fn stop(&self) -> bool {
        let was_up = self.up.swap(false, Ordering::AcqRel);
        self.run.lock().cancel();
        self.sessions.lock().clear();
        was_up
    }

    /// Comes back. Gives whether it was down.
    pub(crate) fn start(&self, stop: &CancelToken) -> bool {
        let was_up = self.up.swap(true, Ordering::AcqRel);
        if !was_up {
            *self.run.lock() = stop.child();
        }
        !was_up
    }

    /// Cuts all connections; the broker stays up.
    pub(crate) fn cut(&self, stop: &CancelToken) {
        let old = std::mem::replace(&mut *self.run.lock(), stop.child());
        old.cancel();
    }
}
