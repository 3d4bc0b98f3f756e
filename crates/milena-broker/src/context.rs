//! What a handler knows of the request at hand, and how it answers.

use std::sync::Arc;

use bytes::Bytes;
use milena_core::{Error, ErrorCode};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::{Request, messages, response};
use parking_lot::Mutex;

use crate::cluster::Cluster;
use crate::faults::Hits;
use crate::node::Node;

/// One request, beside its message.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) node: Arc<Node>,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<Arc<str>>,
    pub(crate) client_host: Arc<str>,
    pub(crate) hits: Hits,
    /// The error codes given out, for the journal.
    pub(crate) errors: Mutex<Vec<ErrorCode>>,
}

/// What goes back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A whole frame in pieces, its length in front.
    Frame(Vec<Bytes>),
    /// The client wants none.
    None,
    /// The connection ends: the request cannot be answered.
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

    pub(crate) fn unanswerable(&self, error: &Error) -> Answer {
        tracing::error!(node = self.node.id, %error, "an answer could not be encoded");
        Answer::Close
    }

    /// The code for the wire, noted for the journal.
    pub(crate) fn code(&self, code: ErrorCode) -> i16 {
        self.errors.lock().push(code);
        code.to_wire()
    }

    /// The code of a result; 0 where it is fine.
    pub(crate) fn code_of<T>(&self, result: &Result<T, ErrorCode>) -> i16 {
        result.as_ref().err().map_or(0, |code| self.code(*code))
    }

    /// The code that a fault wants for the whole request.
    pub(crate) fn fault(&self) -> Result<(), ErrorCode> {
        self.hits.error().map_or(Ok(()), Err)
    }

    /// Whether this broker coordinates `group`, and no fault says otherwise.
    pub(crate) fn coordinates(&self, group: &str) -> Result<(), ErrorCode> {
        self.fault()?;
        match self.cluster.coordinator(group) {
            Some(node) if node.id == self.node.id => Ok(()),
            _ => Err(ErrorCode::NOT_COORDINATOR),
        }
    }

    pub(crate) fn throttle_ms(&self) -> i32 {
        self.hits.throttle_ms()
    }
}

/// A string for a message.
pub(crate) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// A topic name for a message.
pub(crate) fn topic_name(name: &str) -> messages::TopicName {
    messages::TopicName(text(name))
}
