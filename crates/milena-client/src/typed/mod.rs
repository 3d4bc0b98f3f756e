//! Producers and consumers of typed records. Codecs convert between the user's types and bytes.

mod builder;
mod consumer;
mod producer;
mod topic;

pub use builder::{TypedConsumerBuilder, TypedProducerBuilder};
pub use consumer::TypedConsumer;
pub use producer::TypedProducer;
pub use topic::TypedTopic;
