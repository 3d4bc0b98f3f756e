//! The context of one request, and the ways to answer it.

use std::sync::Arc;

use bytes::Bytes;
use milena_core::{Error, ErrorCode};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::{Request, messages, response};
use parking_lot::Mutex;

use crate::cluster::Cluster;
use crate::faults::Hits;
use crate::node::Node;
use crate::subject::WHOLE;

/// One request without its message.
#[derive(Debug)]
pub(crate) struct Context {
    /// The cluster.
    pub(crate) cluster: Arc<Cluster>,
    /// The broker that the request was sent to.
    pub(crate) node: Arc<Node>,
    /// The version of the request.
    pub(crate) version: i16,
    /// The correlation id, which the answer repeats.
    pub(crate) correlation_id: i32,
    /// The client id. `None` if the client sent none.
    pub(crate) client_id: Option<Arc<str>>,
    /// The client's address.
    pub(crate) client_host: Arc<str>,
    /// The faults that apply to the request.
    pub(crate) hits: Hits,
    /// The error codes of the answer so far, for the journal.
    pub(crate) errors: Mutex<Vec<ErrorCode>>,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A whole frame in pieces, with its length in front.
    Frame(Vec<Bytes>),
    /// No answer, because the client wants none.
    None,
    /// The end of the connection, because the request cannot be answered.
    Close,
}

impl Context {
    /// Encodes `answer` at the request's version.
    pub(crate) fn answer<R: Request>(&self, answer: &R::Response) -> Answer {
        match response::encode::<R>(answer, self.version, self.correlation_id) {
            Ok(frame) => Answer::Frame(vec![frame]),
            Err(error) => self.unanswerable(&error),
        }
    }

    /// Gives up on an answer that cannot be encoded.
    pub(crate) fn unanswerable(&self, error: &Error) -> Answer {
        tracing::error!(node = self.node.id, %error, "an answer could not be encoded");
        Answer::Close
    }

    /// Returns the code for the wire, and notes it for the journal.
    pub(crate) fn code(&self, code: ErrorCode) -> i16 {
        self.errors.lock().push(code);
        code.to_wire()
    }

    /// Returns the code of a result, or 0 for success.
    pub(crate) fn code_of<T>(&self, result: &Result<T, ErrorCode>) -> i16 {
        result.as_ref().err().map_or(0, |code| self.code(*code))
    }

    /// Returns the error that a fault demands for the whole request.
    pub(crate) fn fault(&self) -> Result<(), ErrorCode> {
        self.hits.error_of_request().map_or(Ok(()), Err)
    }

    /// Returns the error that a fault demands for a partition.
    pub(crate) fn fault_at(&self, topic: &str, partition: i32) -> Result<(), ErrorCode> {
        self.hits.error_at(topic, partition).map_or(Ok(()), Err)
    }

    /// Returns the error that a fault demands for a topic that the request handles as a whole.
    pub(crate) fn fault_of_topic(&self, topic: &str) -> Result<(), ErrorCode> {
        self.fault_at(topic, WHOLE)
    }

    /// Returns an error if this broker does not coordinate `group`, or if a fault demands one.
    pub(crate) fn coordinates(&self, group: &str) -> Result<(), ErrorCode> {
        self.fault()?;
        match self.cluster.coordinator(group) {
            Some(node) if node.id == self.node.id => Ok(()),
            _ => Err(ErrorCode::NOT_COORDINATOR),
        }
    }

    /// Returns the throttle time that a fault demands, in milliseconds.
    pub(crate) fn throttle_ms(&self) -> i32 {
        self.hits.throttle_ms()
    }
}

/// Makes a string for a message.
pub(crate) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// Makes a topic name for a message.
pub(crate) fn topic_name(name: &str) -> messages::TopicName {
    messages::TopicName(text(name))
}
