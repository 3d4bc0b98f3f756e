//! Resources with configs, and the broker to ask for them.

use std::fmt;

use milena_core::{Error, ErrorCode, ErrorKind, NodeId, TopicName};
use milena_pool::Target;

/// A resource with configs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicName),
    /// One broker. The request is sent to that broker.
    Broker(NodeId),
    /// The dynamic defaults of all brokers.
    AllBrokers,
    /// A consumer group (Kafka 4.0 and later).
    Group(String),
}

impl ConfigResource {
    /// Returns the resource of a topic.
    pub fn topic(name: impl Into<TopicName>) -> Self {
        Self::Topic(name.into())
    }

    pub(super) fn kind(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) | Self::AllBrokers => 4,
            Self::Group(_) => 32,
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Topic(name) => name.to_string(),
            Self::Broker(node) => node.to_wire().to_string(),
            Self::AllBrokers => String::new(),
            Self::Group(group) => group.clone(),
        }
    }

    pub(super) fn target(&self) -> Target {
        match self {
            Self::Broker(node) => Target::Node(*node),
            _ => Target::Controller,
        }
    }

    pub(super) fn place(&self, error: Error) -> Error {
        match self {
            Self::Topic(name) => error.topic(name),
            Self::Broker(node) => error.node(*node),
            Self::AllBrokers => error,
            // Brokers that do not know groups as resources answer with this code.
            Self::Group(group) if error.code() == Some(ErrorCode::INVALID_REQUEST) => {
                let what = "the broker does not support configs of groups; Kafka 4.0 and later do";
                let error = Error::new(ErrorKind::Unsupported, what).with_source(error);
                error.group(group.as_str())
            }
            Self::Group(group) => error.group(group.as_str()),
        }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(node) => write!(f, "broker {node}"),
            Self::AllBrokers => f.write_str("all brokers"),
            Self::Group(group) => write!(f, "group {group}"),
        }
    }
}
