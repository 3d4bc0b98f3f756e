//! The change that a setting makes to a client, its producers or its consumers.

use std::sync::Arc;

use milena_consumer::{AssignedConsumerBuilder, ConsumerBuilder};
use milena_producer::ProducerBuilder;

use crate::draft::ClientDraft;

/// The change that a setting makes to the part of the client that it belongs to.
pub(crate) enum Change {
    Client(Box<dyn FnOnce(ClientDraft) -> ClientDraft>),
    Producer(ProducerChange),
    Consumer(ConsumerChange),
}

/// A change to each producer that the client makes.
pub(crate) type ProducerChange = Arc<dyn Fn(ProducerBuilder) -> ProducerBuilder + Send + Sync>;

/// A change to each consumer that the client makes.
#[derive(Clone)]
pub(crate) struct ConsumerChange {
    /// The change to a consumer in a group.
    pub(crate) member: Arc<dyn Fn(ConsumerBuilder) -> ConsumerBuilder + Send + Sync>,
    /// The change to a consumer without a group. `None` if the setting does not apply to it.
    pub(crate) assigned:
        Option<Arc<dyn Fn(AssignedConsumerBuilder) -> AssignedConsumerBuilder + Send + Sync>>,
}
