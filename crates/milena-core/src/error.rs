//! The one error of milena: what went wrong, whose move it is, whether anything was written, and where.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::{Address, ErrorCode, NodeId, Offset, Partition, TopicName, TopicPartition};

/// The result of an operation of milena.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in one pointer: cheap to clone, since one failed batch answers many records.
///
/// It answers four questions: what ([`kind`](Self::kind)), whose move ([`is_retriable`](Self::is_retriable),
/// [`is_fatal`](Self::is_fatal)), did it happen ([`persistence`](Self::persistence)) and where ([`place`](Self::place)).
/// `Display` is one line without the cause, which [`source`](StdError::source) carries. `{:?}`, by which a `main` that
/// returns an error prints it, is the same line with every cause behind it; `{:#?}` adds the kind.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    persistence: Option<Persistence>,
    place: Place,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A broker answered with an error code.
    Broker(ErrorCode),
    /// A connection could not be made or broke.
    Transport,
    /// A deadline passed.
    Timeout,
    /// A setting, a name or an argument cannot be used as given.
    Config,
    /// Bytes could not be read as what they should be.
    Decode,
    /// The client, producer or consumer was closed.
    Closed,
    /// A newer instance took this one's place (producer epoch, group instance).
    Fenced,
    /// A record is larger than the limit that applies to it.
    RecordTooLarge,
    /// The broker does not offer what the operation needs.
    Unsupported,
    /// The peer could not be authenticated, or refused this client's credentials.
    Security,
    /// The log was cut below what was read of it, after an unclean election: records that were processed are gone. The offset, where it
    /// is known, is where the log and what was read part (KIP-320).
    LogTruncated,
    /// The operation does not fit the present state, such as a commit of a partition that was lost.
    State,
    /// Code panicked on a task of the client: the user's, such as a listener or a clock, or the client's own. The text names it.
    Panicked,
}

/// Whether a failed write may be in the log all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Persistence {
    /// It is certain that nothing was written.
    NotWritten,
    /// It may have been written: the request was on its way and no answer came.
    PossiblyWritten,
}

/// Where an error arose; what is not known or does not apply is `None`.
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
    /// The setting, by Kafka's key, such as `linger.ms`.
    pub setting: Option<Cow<'static, str>>,
}

impl Error {
    /// An error of `kind`; `message` says what was wrong and what to do, lower case, without place and cause.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            persistence: None,
            place: Place::default(),
            source: None,
        }))
    }

    /// The error for a broker's answer `code`.
    #[must_use]
    pub fn broker(code: ErrorCode) -> Self {
        Self::new(ErrorKind::Broker(code), "")
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The broker's error code, where a broker answered with one.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self.0.kind {
            ErrorKind::Broker(code) => Some(code),
            _ => None,
        }
    }

    /// Whether the same operation may succeed when tried again, with nothing changed by the caller.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Broker(code) => code.is_retriable(),
            ErrorKind::Transport | ErrorKind::Timeout => true,
            _ => false,
        }
    }

    /// Whether the client, producer or consumer that reported it cannot go on: it must be made anew, or its settings mended.
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

    /// Whether a write that failed may be in the log all the same; `None` where nothing was to be written.
    #[must_use]
    pub fn persistence(&self) -> Option<Persistence> {
        self.0.persistence
    }

    /// Where it happened.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// The message alone, without kind, place and cause.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Names the topic.
    #[must_use]
    pub fn topic(self, topic: impl Into<TopicName>) -> Self {
        self.with(|inner| inner.place.topic = Some(topic.into()))
    }

    /// Names the partition.
    #[must_use]
    pub fn partition(self, partition: impl Into<Partition>) -> Self {
        self.with(|inner| inner.place.partition = Some(partition.into()))
    }

    /// Names topic and partition.
    #[must_use]
    pub fn at(self, place: &TopicPartition) -> Self {
        self.topic(&place.topic).partition(place.partition)
    }

    /// Names the offset.
    #[must_use]
    pub fn offset(self, offset: Offset) -> Self {
        self.with(|inner| inner.place.offset = Some(offset))
    }

    /// Names the broker.
    #[must_use]
    pub fn node(self, node: NodeId) -> Self {
        self.with(|inner| inner.place.node = Some(node))
    }

    /// Names the request.
    #[must_use]
    pub fn api(self, api: &'static str) -> Self {
        self.with(|inner| inner.place.api = Some(api))
    }

    /// Names the address that was dialed.
    #[must_use]
    pub fn address(self, address: &Address) -> Self {
        self.with(|inner| inner.place.address = Some(address.clone()))
    }

    /// Names the consumer group.
    #[must_use]
    pub fn group(self, group: impl Into<Arc<str>>) -> Self {
        self.with(|inner| inner.place.group = Some(group.into()))
    }

    /// Names the setting, by Kafka's key.
    #[must_use]
    pub fn setting(self, key: impl Into<Cow<'static, str>>) -> Self {
        self.with(|inner| inner.place.setting = Some(key.into()))
    }

    /// Says whether the write may have happened.
    #[must_use]
    pub fn with_persistence(self, persistence: Persistence) -> Self {
        self.with(|inner| inner.persistence = Some(persistence))
    }

    /// Gives the cause.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source: Arc<dyn StdError + Send + Sync> = Arc::from(source.into());
        self.with(|inner| inner.source = Some(source))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
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
        // A request that only reads has nothing to write: the words would frighten for nothing.
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
            Self::Broker(_) => "broker answered an error",
            Self::Transport => "the connection failed",
            Self::Timeout => "the deadline passed",
            Self::LogTruncated => "the log was cut below the position",
            Self::Config => "a setting cannot be used",
            Self::Decode => "the bytes cannot be read",
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

/// The requests that change nothing that is kept.
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

/// Writes ` (name value, name value)` after a message, and nothing where there is nothing.
struct Parts<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
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
