//! The next step of a partition whose turn it is, decided in one go.

use milena_core::Error;
use tokio::time::Instant;

use crate::send::identity::IdentityState;
use crate::send::pace::{self, Load, When};
use crate::send::queue::Queue;
use crate::send::queue::step::Next;
use crate::send::request::RequestBuilder;
use crate::send::seal::Sealer;

/// The result of a partition's turn.
#[derive(Debug)]
pub(super) enum Ready {
    /// A batch joined the request and is in flight from here on. There may be more.
    Loaded,
    /// The next batch exceeds the request. It goes first in the next one.
    Full,
    /// Nothing before this time, because of a backoff or the pace of the connection.
    At(Instant),
    /// Nothing before this time, since the open batch lingers.
    Lingers(Instant),
    /// Nothing before the producer has an identity.
    NeedsIdentity,
    /// The partition goes by another connection now.
    Moved,
    /// These records failed for this reason, since their batch cannot be sealed.
    Failed(u32, Error),
    /// Nothing before a caller, an answer or a compressed batch comes.
    Idle,
}

/// The facts beside the partition that its next step depends on.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    /// The time of this round.
    pub(super) now: Instant,
    /// The load of the connection.
    pub(super) load: &'a Load,
    /// True while callers wait for memory. Open batches that leave now return theirs sooner.
    pub(super) callers_wait: bool,
    /// The time at which a caller last found the buffer full. Batches opened before it leave
    /// without lingering. `None` before the first such time.
    pub(super) hurried: Option<Instant>,
}

/// Adds the next batch of a partition to the request, if one may leave.
///
/// On the way it gives the partition a new identity, and closes its open batch, if that is what
/// keeps it from sending.
pub(super) fn next(
    queue: &mut Queue,
    look: &Look<'_>,
    identity: &mut IdentityState,
    request: &mut RequestBuilder,
    sealer: &Sealer,
) -> Ready {
    if queue.link() != Some(request.link()) {
        return Ready::Moved;
    }
    if !queue.wants_turn() {
        return Ready::Idle;
    }
    let rules = queue.rules();
    let mut next = queue.next(look.now, &rules, identity.current());
    if let Next::Renew(own) = next {
        let Some(renewed) = identity.renew(own) else {
            return Ready::NeedsIdentity;
        };
        queue.begin(renewed);
        next = queue.next(look.now, &rules, Some(renewed));
    }
    if next == Next::Open {
        if let Err(ready) = close_open(queue, look, request, sealer) {
            return ready;
        }
        next = queue.next(look.now, &rules, identity.current());
    }
    match next {
        Next::Send(at) if request.has_room(queue.waiting_len(at)) => {
            let place = queue.partition.place.clone();
            let id = queue.id();
            if let Some(batch) = queue.launch(at, &rules) {
                batch.first_sent.get_or_insert(look.now);
                request.push(id, &place, batch);
            }
            Ready::Loaded
        }
        Next::Send(_) => Ready::Full,
        Next::Not(time) => Ready::At(time),
        Next::NoIdentity => Ready::NeedsIdentity,
        Next::Later | Next::Open | Next::Renew(_) => Ready::Idle,
    }
}

/// Closes the open batch of a partition, if it may leave now. The error is the reason why there is
/// none to send.
fn close_open(
    queue: &mut Queue,
    look: &Look<'_>,
    request: &mut RequestBuilder,
    sealer: &Sealer,
) -> Result<(), Ready> {
    let Some(opened) = queue.open_since() else {
        return Err(Ready::Idle);
    };
    let linger = queue.partition.flow.linger;
    let hurry = look.callers_wait || look.hurried.is_some_and(|time| opened <= time);
    match pace::partial_batch(look.now, opened, linger, hurry, look.load) {
        When::Now => {}
        // Not kept in turn. Each wake-up would otherwise look at every partition whose batch
        // lingers.
        When::At(time) if !linger.is_zero() => return Err(Ready::Lingers(time)),
        When::At(time) => return Err(Ready::At(time)),
    }
    request.close_partial();
    let open = queue.take_open().ok_or(Ready::Idle)?;
    match sealer.close(queue, open) {
        None => Ok(()),
        Some((records, error)) => Err(Ready::Failed(records, error)),
    }
}
