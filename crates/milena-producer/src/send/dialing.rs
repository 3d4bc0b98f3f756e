//! Opening connections, and handling failures to open them.

use std::sync::Arc;

use milena_core::Result;
use tokio::time::Instant;

use crate::network::{LinkId, Wire};
use crate::send::link::{Link, LinkStanding};
use crate::send::task::{Done, Sender};

impl Sender {
    /// Returns true if a connection is open. Otherwise dials it, unless that is in progress or must
    /// wait.
    pub(crate) fn is_up(&mut self, on: LinkId, now: Instant) -> bool {
        let link = self.links.entry(on).or_insert_with(|| Link::new(on));
        match link.standing(now) {
            LinkStanding::Up(_) => true,
            LinkStanding::Not(_) | LinkStanding::Later => false,
            LinkStanding::Dial => {
                self.dial(on);
                false
            }
        }
    }

    /// Dials a connection.
    pub(crate) fn dial(&mut self, on: LinkId) {
        if let Some(link) = self.links.get_mut(&on) {
            link.dialing();
        }
        let dialing = self.network.connect(on);
        self.work
            .push(Box::pin(async move { Done::Dialed(on, dialing.await) }));
    }

    /// Handles a new connection, or the failure to open one.
    pub(crate) fn dialed(&mut self, id: LinkId, result: Result<Arc<dyn Wire>>, now: Instant) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        match result {
            Ok(wire) => link.up(wire),
            Err(_) if self.network.is_closed() => self.end_with_cluster(),
            Err(error) => {
                link.down(now, &self.settings.rules.backoff);
                if self.give_back(id, now) {
                    tracing::debug!(node = %id.node, %error, "a broker refused a further connection");
                    return;
                }
                let Some(link) = self.links.get(&id) else {
                    return;
                };
                for id in &link.turn {
                    if let Some(outlet) = self.queues.get_mut(*id as usize) {
                        outlet.queue.blame(&error);
                    }
                }
                self.notices.trouble(now);
                self.network.refresh("a broker cannot be reached");
            }
        }
    }

    /// Moves the partitions of a connection that cannot be opened to connection 0. Returns false if
    /// it is connection 0 itself.
    fn give_back(&mut self, id: LinkId, now: Instant) -> bool {
        if id.number == 0 {
            return false;
        }
        self.fans.refused(id.node, now);
        let mut moved = Vec::new();
        if let Some(link) = self.links.get_mut(&id) {
            moved.extend(link.turn.drain(..));
        }
        for outlet in &mut self.queues {
            if outlet.queue.link() == Some(id) {
                outlet.queue.go_by(0);
            }
        }
        for id in moved {
            if let Some(outlet) = self.queues.get_mut(id as usize) {
                outlet.listed = false;
            }
            self.list(id);
        }
        true
    }
}
