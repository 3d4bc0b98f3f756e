//! The fluent client: producer, consumer and admin over one shared cluster.
