//! Sources of records as lanes see them. A source has feeds, and each feed has a reader.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use milena_core::{
    Capabilities, ConsumerRecord, Error, Gauge, Reason, Result, RouteInfo, TopicPartition,
};
use tokio::time::Instant;

use crate::end::End;
use crate::feed::{Dispatch, PauseHolder, Ticket};
use crate::rules::Rules;
use crate::settled::Settled;
use crate::tally::Tally;

/// A source of records, such as the consumer of a group, a queue, or a list in memory.
///
/// Its records come in feeds, each with lanes of its own. A feed is a partition, or a queue. Feeds
/// may come and go while the source lives.
pub trait Source: Send + Sync + 'static {
    /// The feeds of this source.
    type Feed: Feed<Source = Self>;

    /// Returns the name of this source for errors, with its kind, such as "the group `billing`".
    fn name(&self) -> Cow<'_, str>;

    /// Returns the things that this source can do. A run that needs more is refused.
    fn capabilities(&self) -> Capabilities;

    /// Returns the settings of the lanes.
    fn rules(&self) -> &Rules;

    /// Returns the counts of settled records.
    fn tally(&self) -> &Tally;

    /// Returns the feeds that exist now.
    fn feeds(self: &Arc<Self>) -> Vec<Self::Feed>;

    /// Ends the run. Only the first reason counts. Called by lanes, and must not wait.
    fn end(&self, end: End);

    /// Returns the reason for the end. `None` while the run goes on.
    fn ended(&self) -> Option<End>;
}

/// The start and the end of a source, as a run needs them.
///
/// A run calls [`prepare`](Self::prepare), then [`begin`](Self::begin), waits for
/// [`until_end`](Self::until_end), and calls [`close`](Self::close). It calls
/// [`abort`](Self::abort) instead if it is dropped.
pub trait Drive: Send + Sync {
    /// The source.
    type Source: Source;

    /// Returns the source.
    fn source(&self) -> &Arc<Self::Source>;

    /// Checks that the source can serve these routes, for example that the topics exist to which
    /// their layers write.
    fn prepare(&self, routes: &[RouteInfo]) -> impl Future<Output = Result<()>> + Send;

    /// Starts to read. Each feed is given to `lanes` once, now or when it comes.
    ///
    /// # Errors
    /// An error if this source was run already or cannot start.
    fn begin(&self, lanes: Arc<dyn Lanes<<Self::Source as Source>::Feed>>) -> Result<()>;

    /// Waits until the run has to end, since the program asked for it, a lane ended it, or no more
    /// records come.
    fn until_end(&self) -> impl Future<Output = ()> + Send;

    /// Stops dispatch, drains the lanes up to a deadline, and gives back what is not settled.
    fn close(&self) -> impl Future<Output = ()> + Send;

    /// Ends everything at once.
    fn abort(&self);
}

/// The lanes of a handler, without the handler's type.
pub trait Lanes<F>: Send + Sync {
    /// Starts the lanes of a feed. Called once for each feed.
    fn start(&self, feed: &F);

    /// Passes the gauges of the routes to `sink`.
    fn read_gauges(&self, group: &str, sink: &mut dyn FnMut(Gauge<'_>));

    /// Returns the name of a route.
    fn route_name(&self, route: usize) -> Arc<str>;
}

/// One partition or queue of a source, read by lanes of its own. A clone is the same feed.
///
/// Each record comes with a [`Ticket`]. Lanes settle it once the record is done. A ticket that no
/// longer counts, as after a seek, a lost lock or a reconnect, settles nothing. A source whose
/// records have locks renews them for all tickets that are not settled, and gives the records back
/// when the feed ends.
pub trait Feed: Clone + Send + Sync + 'static {
    /// The source that this feed belongs to.
    type Source: Source<Feed = Self>;
    /// The reader of its records.
    type Reader: Reader;

    /// Returns the source.
    fn source(&self) -> &Self::Source;

    /// Returns topic and partition, for events, gates and logs. A queue has partition 0.
    fn place(&self) -> &TopicPartition;

    /// Returns the state of the lanes of this feed.
    fn dispatch(&self) -> &Dispatch;

    /// Returns a reader. Called once for each feed.
    fn reader(&self) -> Self::Reader;

    /// Waits until the reader may have something, or dispatch stops.
    fn readable(&self) -> impl Future<Output = ()> + Send;

    /// Waits until the window of delivered records has room again, or dispatch stops.
    fn has_room(&self) -> impl Future<Output = ()> + Send;

    /// Returns true if the record of this ticket may still go to a handler.
    fn counts(&self, ticket: Ticket) -> bool;

    /// Settles a record. Returns false if that comes too late to count.
    fn settle(&self, ticket: Ticket, settled: Settled) -> bool;

    /// Notes that an awaited answer has come, so that the feed does not count as standing still
    /// before now.
    fn has_moved(&self) {}

    /// Stops dispatch. No more records go to handlers.
    fn stop(&self) {
        self.dispatch().stop();
    }

    /// Pauses the feed, and reports it unless `by` held it before.
    fn hold(&self, by: &PauseHolder, reason: &Reason);

    /// Ends the pause by this holder. The feed resumes, and reports it, if there is no other one.
    fn let_go(&self, by: &PauseHolder);

    /// Returns true if this holder pauses the feed.
    fn is_held_by(&self, by: &PauseHolder) -> bool;
}

/// Reads the records of one feed, one by one and without waiting.
pub trait Reader: Send + 'static {
    /// Returns the next record, which counts as delivered from then on. Reads the time of the
    /// delivery from `turn`, after the record was read. Calls [`Turn::rest`] before work that takes
    /// long, such as to decompress a batch.
    fn next(&mut self, turn: &mut impl Turn) -> Next;
}

/// The clock of the lane that reads.
pub trait Turn {
    /// Returns the time at which the next record begins.
    fn now(&mut self) -> Instant;

    /// Prepares for a pause between two records, which is no part of either.
    fn rest(&mut self);
}

/// The next thing from a reader.
#[derive(Debug)]
pub enum Next {
    /// A delivered record, the ticket to settle it with, and the time of its delivery.
    Record(ConsumerRecord, Ticket, Instant),
    /// Nothing is ready now.
    Empty,
    /// The window is full. Nothing comes before one of its records is done. Holds the size of the
    /// window.
    Full(usize),
    /// No more records come. The feed is given back, its lane has stopped, or the source is at its
    /// end.
    Over,
    /// The feed cannot be read any further. Its lanes stop, and the reader returns
    /// [`Over`](Self::Over) from then on.
    Failed(Error),
}
