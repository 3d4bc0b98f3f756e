//! One fault: its action and its filters.

use std::time::Duration;

use bytes::Bytes;
use milena_core::ErrorCode;
use milena_protocol::ApiKey;

/// Something that goes wrong, once unless told otherwise, with the requests that its filters pick.
///
/// ```
/// use milena_broker::{ApiKey, ErrorCode, Fault};
///
/// let fault = Fault::error(ErrorCode::NOT_LEADER_OR_FOLLOWER).on(ApiKey::Produce).topic("orders").times(2);
/// # let _ = fault;
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    pub(crate) action: Action,
    name: Option<String>,
    apis: Vec<ApiKey>,
    node: Option<i32>,
    topic: Option<String>,
    partition: Option<i32>,
    group: Option<String>,
    client_id: Option<String>,
    pub(crate) skip: u32,
    pub(crate) times: Option<u32>,
}

/// What a fault does.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Error(ErrorCode),
    ApplyThenError(ErrorCode),
    Delay(Duration),
    DelayAnswer(Duration),
    Silence,
    ApplyThenSilence,
    Disconnect,
    ApplyThenDisconnect,
    Raw(Bytes),
    Truncate(usize),
    WrongCorrelationId,
    Garbled,
    Omit,
    Diverging(i32, i64),
    Throttle(Duration),
    StaleMetadata,
    HideTopic(String),
    Do(Step),
}

/// A change of the cluster.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    MoveLeader(String, i32, i32),
    MoveCoordinator(String, i32),
    BrokerDown(i32),
    BrokerUp(i32),
    CutConnections(i32),
    CreateTopic(String, u32),
    DeleteTopic(String),
    AddPartitions(String, u32),
    StopReplica(String, i32, i32),
}

/// What a request is about, for filters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) api: ApiKey,
    pub(crate) node: i32,
    pub(crate) client_id: Option<&'a str>,
    pub(crate) partitions: &'a [(String, i32)],
    pub(crate) groups: &'a [String],
}

impl Fault {
    fn new(action: Action) -> Self {
        Self {
            action,
            name: None,
            apis: Vec::new(),
            node: None,
            topic: None,
            partition: None,
            group: None,
            client_id: None,
            skip: 0,
            times: Some(1),
        }
    }

    /// Answers with `code` and does nothing: for the partitions that the filters pick, else for the whole request.
    pub fn error(code: ErrorCode) -> Self {
        Self::new(Action::Error(code))
    }

    /// Does what was asked, then answers with `code`; for Produce (other requests: as [`error`](Self::error)).
    pub fn apply_then_error(code: ErrorCode) -> Self {
        Self::new(Action::ApplyThenError(code))
    }

    /// Takes up the request only after `time`.
    pub fn delay(time: Duration) -> Self {
        Self::new(Action::Delay(time))
    }

    /// Does what was asked and answers `time` later.
    pub fn delay_answer(time: Duration) -> Self {
        Self::new(Action::DelayAnswer(time))
    }

    /// Does nothing and never answers; the connection stays open and stuck.
    pub fn silence() -> Self {
        Self::new(Action::Silence)
    }

    /// Does what was asked and never answers.
    pub fn apply_then_silence() -> Self {
        Self::new(Action::ApplyThenSilence)
    }

    /// Closes the connection and does nothing.
    pub fn disconnect() -> Self {
        Self::new(Action::Disconnect)
    }

    /// Does what was asked, then closes the connection without an answer.
    pub fn apply_then_disconnect() -> Self {
        Self::new(Action::ApplyThenDisconnect)
    }

    /// Does nothing and sends these bytes as they are, without a length in front.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::new(Action::Raw(bytes.into()))
    }

    /// Does what was asked, sends the first `bytes` of the answer and closes the connection.
    pub fn truncate(bytes: usize) -> Self {
        Self::new(Action::Truncate(bytes))
    }

    /// Does what was asked and answers under another correlation id.
    pub fn wrong_correlation_id() -> Self {
        Self::new(Action::WrongCorrelationId)
    }

    /// Does what was asked and answers with a frame of the right length and correlation id that cannot be decoded.
    pub fn garbled() -> Self {
        Self::new(Action::Garbled)
    }

    /// Leaves the partitions that the filters pick out of the answer, and does nothing for them.
    pub fn omit_partition() -> Self {
        Self::new(Action::Omit)
    }

    /// Answers a fetch of the partitions that the filters pick by saying that the log parts from the client's: its last epoch in common
    /// is `epoch`, which ended at offset `end` (KIP-595).
    pub fn diverging(epoch: i32, end: i64) -> Self {
        Self::new(Action::Diverging(epoch, end))
    }

    /// Does what was asked and tells the client to be quiet for `time` (KIP-219).
    pub fn throttle(time: Duration) -> Self {
        Self::new(Action::Throttle(time))
    }

    /// Answers Metadata with the picture that was true when the fault was added.
    pub fn stale_metadata() -> Self {
        Self::new(Action::StaleMetadata).on(ApiKey::Metadata)
    }

    /// Answers Metadata as if there were no such topic.
    pub fn hide_topic(topic: impl Into<String>) -> Self {
        Self::new(Action::HideTopic(topic.into())).on(ApiKey::Metadata)
    }

    /// Makes `node` the leader of a partition just before the request is taken up.
    pub fn move_leader(topic: impl Into<String>, partition: i32, node: i32) -> Self {
        Self::new(Action::Do(Step::MoveLeader(topic.into(), partition, node)))
    }

    /// Makes `node` the coordinator of a group just before the request is taken up.
    pub fn move_coordinator(group: impl Into<String>, node: i32) -> Self {
        Self::new(Action::Do(Step::MoveCoordinator(group.into(), node)))
    }

    /// Takes `node` down just before the request is taken up.
    pub fn broker_down(node: i32) -> Self {
        Self::new(Action::Do(Step::BrokerDown(node)))
    }

    /// Brings `node` back just before the request is taken up.
    pub fn broker_up(node: i32) -> Self {
        Self::new(Action::Do(Step::BrokerUp(node)))
    }

    /// Closes all connections to `node`, which stays up, just before the request is taken up; it is not answered.
    pub fn cut_connections(node: i32) -> Self {
        Self::new(Action::Do(Step::CutConnections(node)))
    }

    /// Makes a topic just before the request is taken up.
    pub fn create_topic(topic: impl Into<String>, partitions: u32) -> Self {
        Self::new(Action::Do(Step::CreateTopic(topic.into(), partitions)))
    }

    /// Deletes a topic just before the request is taken up.
    pub fn delete_topic(topic: impl Into<String>) -> Self {
        Self::new(Action::Do(Step::DeleteTopic(topic.into())))
    }

    /// Adds partitions to a topic until there are `count`, just before the request is taken up.
    pub fn add_partitions(topic: impl Into<String>, count: u32) -> Self {
        Self::new(Action::Do(Step::AddPartitions(topic.into(), count)))
    }

    /// Lets a follower fetch nothing more from just before the request is taken up.
    pub fn stop_replica(topic: impl Into<String>, partition: i32, node: i32) -> Self {
        Self::new(Action::Do(Step::StopReplica(topic.into(), partition, node)))
    }

    /// Names the fault, for messages and the journal.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only requests of this API; may be given for several.
    #[must_use]
    pub fn on(mut self, api: ApiKey) -> Self {
        self.apis.push(api);
        self
    }

    /// Only requests to this broker.
    #[must_use]
    pub fn node(mut self, node: i32) -> Self {
        self.node = Some(node);
        self
    }

    /// Only requests about this topic, and of those only its part.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Only requests about this partition, and of those only its part.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Only requests about this group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Only requests of clients with this id.
    #[must_use]
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Begins with the `nth` request that the filters pick, counted from 1.
    #[must_use]
    pub fn nth(mut self, nth: u32) -> Self {
        self.skip = nth.saturating_sub(1);
        self
    }

    /// Ends after `times` requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Never ends by itself; it must still fire once.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// Its name, or what it does where it was given none.
    pub(crate) fn name(&self) -> String {
        let apis: Vec<&str> = self.apis.iter().map(|api| api.name()).collect();
        match &self.name {
            Some(name) => name.clone(),
            None if apis.is_empty() => format!("{:?}", self.action),
            None => format!("{:?} on {}", self.action, apis.join(", ")),
        }
    }

    pub(crate) fn matches(&self, subject: &Subject<'_>) -> bool {
        (self.apis.is_empty() || self.apis.contains(&subject.api))
            && self.node.is_none_or(|node| node == subject.node)
            && self
                .client_id
                .as_deref()
                .is_none_or(|id| subject.client_id == Some(id))
            && self
                .group
                .as_ref()
                .is_none_or(|group| subject.groups.contains(group))
            && ((self.topic.is_none() && self.partition.is_none())
                || subject
                    .partitions
                    .iter()
                    .any(|(topic, partition)| self.covers(topic, *partition)))
    }

    /// Whether its part of a request includes this partition; -1 stands for a whole topic.
    pub(crate) fn covers(&self, topic: &str, partition: i32) -> bool {
        self.topic.as_deref().is_none_or(|name| name == topic)
            && self
                .partition
                .is_none_or(|index| index == partition || partition == -1)
    }

    /// Whether it picks partitions rather than whole requests.
    pub(crate) fn names_a_partition(&self) -> bool {
        self.partition.is_some()
    }
}
