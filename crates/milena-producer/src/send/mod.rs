//! The send task: turns full batches into produce requests, and answers into delivery results.
//!
//! One task per producer runs [`task::SendTask::run`]. It owns all send state, so nothing here is
//! locked:
//!
//! - [`batches::Batches`]: the batches without an outcome
//!   - [`outlets::Outlets`]: one queue per partition, and when each must be looked at again
//!   - [`seal::Sealer`]: the final bytes of batches, made here or on other threads
//! - [`dispatcher::Dispatcher`]: the side that faces brokers
//!   - [`links::Links`]: connections to leaders, and what is in flight on each
//!   - [`identity::IdentityState`]: the producer id and epoch that sequences belong to
//! - [`closing::Closing`]: the end of the producer
//!
//! One turn takes news from callers, gathers ready batches into one request per connection and
//! sends them. Then it waits for an answer, a timer or the bell. What an answer asks for is decided
//! in [`outcome`], and the next step of a partition in [`ready`].

mod batch;
mod batches;
mod closing;
pub(crate) mod command;
mod compressors;
mod crowd;
mod dispatcher;
pub(crate) mod identity;
mod link;
mod links;
mod notices;
mod outcome;
mod outlets;
mod pace;
mod parts;
mod queue;
mod ready;
mod request;
mod seal;
mod sequence;
mod spread;
pub(crate) mod task;
pub(crate) mod verdict;
mod wake;
mod window;
mod work;
