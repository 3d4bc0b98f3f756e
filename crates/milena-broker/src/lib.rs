//! An in-process Kafka broker for demos and tests, strict about Kafka's rules, with named faults.
//!
//! One [`Broker`] is a cluster of any number of brokers. Clients reach it over TCP or in memory. In
//! memory everything runs in tokio's clock, which tests may pause. The broker validates requests,
//! keeps sequence windows, leader epochs, in-sync replicas, fetch sessions and group generations
//! like Kafka, and refuses requests that it does not model. [`Faults`] make it misbehave by script,
//! and the [`Journal`] shows the requests it received.
//!
//! The program `milena-broker` is the same broker for clients of any language. It needs the feature
//! `bin` (`cargo run -p milena-broker --features bin -- --help`), which is off by default. The
//! library brings neither a log subscriber nor signal handling.
//!
//! Replicas have no logs of their own. A replica that fetches has the whole log at once. A replica
//! that was stopped ends where it was, holds the high watermark back, and cuts the log when it is
//! elected.
//!
//! It does not model transactions, authentication, access control lists, quotas, share groups, log
//! directories, reassignments of partitions, the controller quorum, feature updates, descriptions
//! of producers and lists of config resources. It does not clean logs by time or by compaction.
//! `retention.ms` and `cleanup.policy` are kept and shown, and a compacted topic requires keys.

mod api;
mod broker;
mod broker_config;
mod builder;
mod cluster;
mod config_kind;
mod connection;
mod context;
mod dispatch;
mod faults;
mod group;
mod inspect;
mod journal;
mod leaders;
mod listen;
mod log;
mod node;
mod partition;
mod producers;
mod refused;
mod replicas;
#[cfg(test)]
mod samples;
mod session;
mod settings;
mod subject;
mod tasks;
mod topic;
mod transactions;
mod validate;
mod view;

pub use broker::Broker;
pub use builder::BrokerBuilder;
pub use faults::{Fault, FaultGuard, FaultHandle, Faults};
pub use group::{GroupKind, GroupState, GroupView, MemberView};
pub use inspect::Inspector;
pub use journal::{Entry, Fate, Journal, Outcome};
pub use milena_core::ErrorCode;
pub use milena_protocol::ApiKey;
