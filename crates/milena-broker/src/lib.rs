//! An in-process Kafka broker for demos and tests, strict about Kafka's rules, with named faults.
