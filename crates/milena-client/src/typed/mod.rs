//! Producers and consumers of typed records: codecs stand between the user's types and the bytes.

mod builder;
mod consumer;
mod producer;
mod topic;

pub use builder::{TypedConsumerBuilder, TypedProducerBuilder};
pub use consumer::TypedConsumer;
pub use producer::TypedProducer;
pub use topic::TypedTopic;
