//! Lanes, which drive a record from its source through its route until it is settled. Nothing here
//! knows Kafka.
//!
//! - [`run`] processes the records of a source with a handler, a stack or a router.
//! - [`InMemory`] is a source of records in memory, for runs without a broker.
//! - [`Source`], [`Feed`] and [`Reader`] are what another source implements. Its records come in
//!   feeds, such as partitions or queues. Each record has a [`Ticket`], with which it is
//!   [`Settled`].
//! - [`Rules`] are the settings of the lanes, and [`Drive`] is the start and the end of a source.
//! - [`Dispatch`], [`OffsetTracker`] and [`Pauses`] are the parts that a feed is made of.
//!
//! A lane is the unit of order. It takes a record, waits until the service of the record's route is
//! ready, calls it, and settles the record or tries it again. Then it takes the next. A feed has
//! one lane, or several that share its records by key or in no order.

mod end;
mod feed;
mod gates;
mod lanes;
mod memory;
mod panics;
mod queue;
mod reports;
mod routes;
mod rules;
mod run;
mod settled;
mod source;
mod tally;
mod worker;

pub use end::{End, RunEnd, ShutdownHandle};
pub use feed::{Dispatch, LaneSnapshot, OffsetTracker, Pause, PauseHolder, Pauses, Phase, Ticket};
pub use memory::{InMemory, MemoryFeed, MemoryReader, MemorySender, MemorySource};
pub use panics::{caught, contained, named, panic_of, panicked};
pub use routes::{AsHandler, AsRoutes, AsService, Driven, HandlerService, IntoRoutes, OneRoute};
pub use rules::{Clock, Rules};
pub use run::{Report, drive, run};
pub use settled::Settled;
pub use source::{Drive, Feed, Lanes, Next, Reader, Source, Turn};
pub use tally::Tally;
