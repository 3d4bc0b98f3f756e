//! milena: a pure-Rust Kafka client framework with a tower middleware stack.
