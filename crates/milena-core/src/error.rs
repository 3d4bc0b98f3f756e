//! The error type of milena. It says what failed, where, if a retry can help, and if a write
//! happened.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::{Address, ErrorCode, NodeId, Offset, Partition, TopicName, TopicPartition};

/// The result of an operation of milena.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of milena. It is one pointer and cheap to clone, since one failed batch answers many
/// records.
///
/// It answers four questions:
///
/// - [`kind`](Self::kind) is what failed.
/// - [`is_retriable`](Self::is_retriable) and [`is_fatal`](Self::is_fatal) are what the caller can
///   do.
/// - [`persistence`](Self::persistence) is what is known about the write.
/// - [`place`](Self::place) is where it happened.
///
/// `Display` is one line without the cause, which [`source`](StdError::source) returns. `{:?}`
/// appends every cause to that line. A `main` that returns an error prints it in this form. `{:#?}`
/// adds the kind.
#[derive(Clone)]
pub struct Error(Arc<ErrorParts>);

#[derive(Clone)]
struct ErrorParts {
    /// The kind of failure.
    kind: ErrorKind,
    /// The text for people, without place and cause. May be empty, mostly if the kind says enough.
    message: Cow<'static, str>,
    /// `None` if the operation writes nothing, or if the reporter did not know.
    persistence: Option<Persistence>,
    /// The place of the failure.
    place: Place,
    /// The cause. `None` if there is none.
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A broker answered with an error code.
    Broker(ErrorCode),
    /// A connection could not be opened, or broke.
    Transport,
    /// A deadline passed.
    Timeout,
    /// A setting, a name or an argument cannot be used as given.
    Config,
    /// Bytes could not be decoded.
    Decode,
    /// The client, producer or consumer was closed.
    Closed,
    /// A newer instance replaced this one (producer epoch, group instance).
    Fenced,
    /// A record is larger than the limit that applies to it.
    RecordTooLarge,
    /// The broker does not offer what the operation needs.
    Unsupported,
    /// The peer could not be authenticated, or refused this client's credentials.
    Security,
    /// The log was truncated below the records that were read, after an unclean leader election.
    /// Records that were processed are gone.
    ///
    /// The offset is the first one at which the log differs from what was read, if it is known
    /// (KIP-320).
    LogTruncated,
    /// The operation is not possible in the present state, such as a commit for a partition that
    /// was lost.
    State,
    /// Code panicked on a task of the client. It is the user's code, such as a listener or a clock,
    /// or the client's own. The text names it.
    Panicked,
}

/// Possible results of a write that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Persistence {
    /// Nothing was written.
    NotWritten,
    /// The write may be in the log. The request was sent, and no answer came.
    PossiblyWritten,
}

/// The place at which an error arose. `None` in a field means unknown, or that it does not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The topic.
    pub topic: Option<TopicName>,
    /// The partition of the topic.
    pub partition: Option<Partition>,
    /// The offset in the partition.
    pub offset: Option<Offset>,
    /// The broker.
    pub node: Option<NodeId>,
    /// The address that was dialed.
    pub address: Option<Address>,
    /// The request's name, such as `Produce`.
    pub api: Option<&'static str>,
    /// The consumer group.
    pub group: Option<Arc<str>>,
    /// The setting, by its Kafka key, such as `linger.ms`.
    pub setting: Option<Cow<'static, str>>,
}

impl Error {
    /// Creates an error of `kind`. `message` says what was wrong and what to do, in lower case,
    /// without place and cause.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(ErrorParts {
            kind,
            message: message.into(),
            persistence: None,
            place: Place::default(),
            source: None,
        }))
    }

    /// Creates the error for the error code `code` in a broker's answer.
    #[must_use]
    pub fn broker(code: ErrorCode) -> Self {
        Self::new(ErrorKind::Broker(code), "")
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the broker's error code. `None` if the error is not a broker's answer.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self.0.kind {
            ErrorKind::Broker(code) => Some(code),
            _ => None,
        }
    }

    /// Returns true if the same operation may succeed when tried again, without any change by the
    /// caller.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Broker(code) => code.is_retriable(),
            ErrorKind::Transport | ErrorKind::Timeout => true,
            _ => false,
        }
    }

    /// Returns true if the client, producer or consumer that reported the error cannot continue. A
    /// new one must be created, or its settings corrected.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self.0.kind {
            ErrorKind::Broker(code) => {
                code.is_authorization()
                    || matches!(
                        code,
                        ErrorCode::PRODUCER_FENCED
                            | ErrorCode::INVALID_PRODUCER_EPOCH
                            | ErrorCode::FENCED_INSTANCE_ID
                            | ErrorCode::TRANSACTION_COORDINATOR_FENCED
                            | ErrorCode::SASL_AUTHENTICATION_FAILED
                            | ErrorCode::UNSUPPORTED_SASL_MECHANISM
                    )
            }
            ErrorKind::Fenced
            | ErrorKind::Security
            | ErrorKind::Closed
            | ErrorKind::Config
            | ErrorKind::Unsupported
            | ErrorKind::Panicked => true,
            _ => false,
        }
    }

    /// Returns the possible results of a write that failed. `None` if the operation writes nothing.
    #[must_use]
    pub fn persistence(&self) -> Option<Persistence> {
        self.0.persistence
    }

    /// Returns the place of the failure.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// Returns the message alone, without kind, place and cause.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Sets the topic.
    #[must_use]
    pub fn topic(self, topic: impl Into<TopicName>) -> Self {
        self.with(|inner| inner.place.topic = Some(topic.into()))
    }

    /// Sets the partition.
    #[must_use]
    pub fn partition(self, partition: impl Into<Partition>) -> Self {
        self.with(|inner| inner.place.partition = Some(partition.into()))
    }

    /// Sets topic and partition.
    #[must_use]
    pub fn at(self, place: &TopicPartition) -> Self {
        self.topic(&place.topic).partition(place.partition)
    }

    /// Sets the offset.
    #[must_use]
    pub fn offset(self, offset: Offset) -> Self {
        self.with(|inner| inner.place.offset = Some(offset))
    }

    /// Sets the broker.
    #[must_use]
    pub fn node(self, node: NodeId) -> Self {
        self.with(|inner| inner.place.node = Some(node))
    }

    /// Sets the name of the request.
    #[must_use]
    pub fn api(self, api: &'static str) -> Self {
        self.with(|inner| inner.place.api = Some(api))
    }

    /// Sets the address that was dialed.
    #[must_use]
    pub fn address(self, address: &Address) -> Self {
        self.with(|inner| inner.place.address = Some(address.clone()))
    }

    /// Sets the consumer group.
    #[must_use]
    pub fn group(self, group: impl Into<Arc<str>>) -> Self {
        self.with(|inner| inner.place.group = Some(group.into()))
    }

    /// Sets the setting, by its Kafka key.
    #[must_use]
    pub fn setting(self, key: impl Into<Cow<'static, str>>) -> Self {
        self.with(|inner| inner.place.setting = Some(key.into()))
    }

    /// Sets the possible results of the write.
    #[must_use]
    pub fn with_persistence(self, persistence: Persistence) -> Self {
        self.with(|inner| inner.persistence = Some(persistence))
    }

    /// Sets the cause.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source: Arc<dyn StdError + Send + Sync> = Arc::from(source.into());
        self.with(|inner| inner.source = Some(source))
    }

    fn with(mut self, change: impl FnOnce(&mut ErrorParts)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        match (inner.kind, inner.message.is_empty()) {
            (ErrorKind::Broker(code), true) => write!(f, "broker answered {code}")?,
            (ErrorKind::Broker(code), false) => {
                write!(f, "{}: broker answered {code}", inner.message)?;
            }
            (_, false) => f.write_str(&inner.message)?,
            (kind, true) => f.write_str(kind.text())?,
        }
        let mut parts = Parts { f, any: false };
        let Place {
            topic,
            partition,
            offset,
            node,
            address,
            api,
            group,
            setting,
        } = &inner.place;
        parts.add("api", api.as_ref())?;
        parts.add("setting", setting.as_ref())?;
        parts.add("group", group.as_ref())?;
        parts.add("topic", topic.as_ref())?;
        parts.add("partition", partition.as_ref())?;
        parts.add("offset", offset.as_ref())?;
        parts.add("node", node.as_ref())?;
        parts.add("address", address.as_ref())?;
        // A request that only reads writes nothing. "not written" would then only worry the reader.
        let reads = api.as_ref().is_some_and(|api| READS.contains(&&**api));
        let persistence = inner.persistence.filter(|_| !reads);
        parts.add("persistence", persistence.map(Persistence::text).as_ref())?;
        parts.end()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return f
                .debug_struct("Error")
                .field("kind", &self.0.kind)
                .field("text", &self.to_string())
                .field("source", &self.0.source)
                .finish();
        }
        fmt::Display::fmt(self, f)?;
        let mut cause = StdError::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self::broker(code)
    }
}

impl ErrorKind {
    const fn text(self) -> &'static str {
        match self {
            Self::Broker(_) => "the broker answered with an error",
            Self::Transport => "the connection failed",
            Self::Timeout => "the deadline passed",
            Self::LogTruncated => "the log was truncated below the position",
            Self::Config => "a setting cannot be used",
            Self::Decode => "the bytes cannot be decoded",
            Self::Closed => "closed",
            Self::Fenced => "a newer instance took over",
            Self::RecordTooLarge => "the record is too large",
            Self::Unsupported => "the broker does not support this",
            Self::Security => "authentication failed",
            Self::State => "not possible in the present state",
            Self::Panicked => "a task panicked",
        }
    }
}

impl Persistence {
    const fn text(self) -> &'static str {
        match self {
            Self::NotWritten => "not written",
            Self::PossiblyWritten => "possibly written",
        }
    }
}

/// Requests that do not change stored data.
const READS: [&str; 18] = [
    "ApiVersions",
    "ConsumerGroupDescribe",
    "ConsumerGroupHeartbeat",
    "DescribeCluster",
    "DescribeConfigs",
    "DescribeGroups",
    "DescribeTopicPartitions",
    "Fetch",
    "FindCoordinator",
    "Heartbeat",
    "JoinGroup",
    "LeaveGroup",
    "ListGroups",
    "ListOffsets",
    "Metadata",
    "OffsetFetch",
    "OffsetForLeaderEpoch",
    "SyncGroup",
];

/// Writes ` (name value, name value)` after a message. Writes nothing if there are no values.
struct Parts<'a, 'b> {
    /// The output, already behind the message.
    f: &'a mut fmt::Formatter<'b>,
    /// True once a value was written, so that the bracket is open.
    any: bool,
}

impl Parts<'_, '_> {
    fn add(&mut self, name: &str, value: Option<&impl fmt::Display>) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        self.f.write_str(if self.any { ", " } else { " (" })?;
        self.any = true;
        if name == "persistence" {
            write!(self.f, "{value}")
        } else {
            write!(self.f, "{name} {value}")
        }
    }

    fn end(self) -> fmt::Result {
        if self.any {
            self.f.write_str(")")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_and_where_but_not_the_cause() {
        let error = Error::broker(ErrorCode::NOT_LEADER_OR_FOLLOWER)
            .at(&TopicPartition::new("orders", 3))
            .api("Produce")
            .with_persistence(Persistence::NotWritten)
            .with_source(std::io::Error::other("cause"));
        assert_eq!(
            error.to_string(),
            "broker answered NOT_LEADER_OR_FOLLOWER (6) (api Produce, topic orders, partition 3, not written)"
        );
        assert_eq!(error.source().unwrap().to_string(), "cause");
    }

    #[test]
    fn a_request_that_only_reads_does_not_speak_of_writing() {
        let lost = |api| {
            let error = Error::new(ErrorKind::Timeout, "no answer").api(api);
            error.with_persistence(Persistence::PossiblyWritten)
        };
        assert_eq!(lost("ListGroups").to_string(), "no answer (api ListGroups)");
        let told = "no answer (api OffsetCommit, possibly written)";
        assert_eq!(lost("OffsetCommit").to_string(), told);
    }

    #[test]
    fn an_error_that_main_returns_reads_as_a_sentence_with_its_causes() {
        let dial = Error::new(ErrorKind::Transport, "cannot connect")
            .with_source(std::io::Error::other("connection refused"));
        let error = Error::new(ErrorKind::Timeout, "no broker answered").with_source(dial);
        let shown = format!("{error:?}");
        assert_eq!(
            shown,
            "no broker answered: cannot connect: connection refused"
        );
        assert!(format!("{error:#?}").contains("kind: Timeout"));
    }

    #[test]
    fn a_clone_is_not_changed_by_what_is_added_later() {
        let first = Error::new(ErrorKind::Timeout, "no answer within 30 s");
        let second = first.clone().group("billing");
        assert_eq!(first.to_string(), "no answer within 30 s");
        assert_eq!(second.to_string(), "no answer within 30 s (group billing)");
    }

    #[test]
    fn retriable_and_fatal_follow_the_code() {
        assert!(Error::broker(ErrorCode::NOT_COORDINATOR).is_retriable());
        assert!(Error::new(ErrorKind::Transport, "gone").is_retriable());
        let denied = Error::broker(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        assert!(denied.is_fatal() && !denied.is_retriable());
        assert!(!Error::broker(ErrorCode::MESSAGE_TOO_LARGE).is_fatal());
    }
}
