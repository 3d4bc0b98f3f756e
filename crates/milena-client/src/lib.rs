//! The client. Producers, consumers and administrators share its connections to one cluster.

mod apply;
mod bootstrap;
mod builder;
mod client;
mod configure;
pub mod dead_letters;
mod draft;
mod extend;
mod layered;
mod signals;
mod topic_plan;
mod typed;

pub use bootstrap::Bootstrap;
pub use builder::ClientBuilder;
pub use client::Client;
pub use extend::{ConsumerBuilderExt, ProducerBuilderExt};
pub use layered::{LayeredConsumer, LayeredConsumerBuilder};
pub use signals::{next_signal, shutdown_signal};
pub use typed::{
    TypedConsumer, TypedConsumerBuilder, TypedProducer, TypedProducerBuilder, TypedTopic,
};

pub use milena_admin as admin;
pub use milena_config as config;
pub use milena_consumer as consumer;
pub use milena_core as core;
#[cfg(feature = "health")]
pub use milena_health as health;
pub use milena_lanes as lanes;
#[cfg(feature = "metrics")]
pub use milena_metrics as metrics;
pub use milena_middleware as middleware;
pub use milena_pool as pool;
pub use milena_producer as producer;
pub use milena_serializer as serializer;
#[cfg(feature = "tracing")]
pub use milena_tracing as trace;
