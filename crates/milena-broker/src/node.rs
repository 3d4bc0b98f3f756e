//! One broker of the cluster, with its address, its state and its fetch sessions.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::{Address, CancelToken};
use parking_lot::{Mutex, RwLock};

use crate::session::Sessions;

/// A broker. It outlives going down and coming back.
#[derive(Debug)]
pub(crate) struct Node {
    /// The node id, from 1.
    pub(crate) id: i32,
    /// The rack. `None` without one.
    pub(crate) rack: Option<String>,
    /// The address that clients get. Only [`advertise`](Self::advertise) changes it.
    advertised: RwLock<Address>,
    /// The socket address of the listener. `None` if it only serves connections in memory.
    listens_at: Option<SocketAddr>,
    /// True while it is up.
    up: AtomicBool,
    /// The tokens of the present run. Replaced when the broker comes back.
    run: Mutex<Run>,
    /// The fetch sessions. Cleared when it goes down.
    pub(crate) sessions: Mutex<Sessions>,
}

/// The tokens of one run of a broker, from its start until it goes down.
#[derive(Debug)]
struct Run {
    /// Ends the listener and, as their parent, the connections. Cancelled when the broker goes
    /// down.
    listener: CancelToken,
    /// Ends the connections. Replaced when they are cut, which leaves the listener in place.
    connections: CancelToken,
}

impl Run {
    /// Begins a run that ends with the cluster.
    fn new(stop: &CancelToken) -> Self {
        let listener = stop.child();
        Self {
            connections: listener.child(),
            listener,
        }
    }
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
            run: Mutex::new(Run::new(stop)),
            sessions: Mutex::new(Sessions::new(max_sessions)),
        }
    }

    /// Puts it into this rack.
    pub(crate) fn racked(mut self, rack: Option<&String>) -> Self {
        self.rack = rack.cloned();
        self
    }

    /// Lets it listen at this socket address too.
    pub(crate) fn listening(mut self, at: SocketAddr) -> Self {
        self.listens_at = Some(at);
        self
    }

    /// Returns the address of its listener, or `None` if it only serves connections in memory.
    pub(crate) fn listens_at(&self) -> Option<SocketAddr> {
        self.listens_at
    }

    /// Returns the address that clients get.
    pub(crate) fn address(&self) -> Address {
        self.advertised.read().clone()
    }

    /// Changes the address that clients get.
    pub(crate) fn advertise(&self, address: Address) {
        *self.advertised.write() = address;
    }

    /// Returns true while it is up.
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Returns the token that ends the listener of the present run.
    pub(crate) fn listener(&self) -> CancelToken {
        self.run.lock().listener.clone()
    }

    /// Returns the token that ends connections which begin now.
    pub(crate) fn connections(&self) -> CancelToken {
        self.run.lock().connections.clone()
    }

    /// Takes it down, which ends its connections and its listener. Returns true if it was up.
    pub(crate) fn stop(&self) -> bool {
        let was_up = self.up.swap(false, Ordering::AcqRel);
        self.run.lock().listener.cancel();
        self.sessions.lock().clear();
        was_up
    }

    /// Brings it back. Returns true if it was down.
    pub(crate) fn start(&self, stop: &CancelToken) -> bool {
        let was_up = self.up.swap(true, Ordering::AcqRel);
        if !was_up {
            *self.run.lock() = Run::new(stop);
        }
        !was_up
    }

    /// Ends all connections. The broker stays up, and its listener accepts new ones.
    pub(crate) fn cut(&self) {
        let mut run = self.run.lock();
        let next = run.listener.child();
        let old = std::mem::replace(&mut run.connections, next);
        drop(run);
        old.cancel();
    }
}
