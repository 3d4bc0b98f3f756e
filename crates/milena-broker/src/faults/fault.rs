//! One fault, with its action and its filters.

use std::time::Duration;

use bytes::Bytes;
use milena_core::ErrorCode;
use milena_protocol::ApiKey;

/// A failure of the requests that its filters select. It happens once, unless
/// [`times`](Self::times) or [`always`](Self::always) say otherwise.
///
/// ```
/// use milena_broker::{ApiKey, ErrorCode, Fault};
///
/// let fault = Fault::error(ErrorCode::NOT_LEADER_OR_FOLLOWER)
///     .on(ApiKey::Produce)
///     .topic("orders")
///     .times(2);
/// # let _ = fault;
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    /// The action.
    pub(crate) action: Action,
    /// The name. `None` uses a description of the action.
    name: Option<String>,
    /// The APIs of matching requests. Empty matches all.
    apis: Vec<ApiKey>,
    /// The broker of matching requests. `None` matches all.
    node: Option<i32>,
    /// The topic of matching requests. `None` matches all.
    topic: Option<String>,
    /// The partition of matching requests. `None` matches all.
    partition: Option<i32>,
    /// The group of matching requests. `None` matches all.
    group: Option<String>,
    /// The client id of matching requests. `None` matches all.
    client_id: Option<String>,
    /// The number of matching requests to let through first.
    pub(crate) skip: u32,
    /// The number of requests to apply to. `None` never ends.
    pub(crate) times: Option<u32>,
}

/// The action of a fault. [`Fault`] has a constructor for each, which describes it.
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

/// A change of the cluster, made just before a request is served.
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

/// The subject of a request, for filters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// The API of the request.
    pub(crate) api: ApiKey,
    /// The broker that it was sent to.
    pub(crate) node: i32,
    /// The client id. `None` if the client sent none.
    pub(crate) client_id: Option<&'a str>,
    /// The topics and partitions that it is about. -1 stands for a whole topic.
    pub(crate) partitions: &'a [(String, i32)],
    /// The groups that it is about.
    pub(crate) groups: &'a [String],
}

impl Fault {
    /// Makes a fault that fires once, for every request.
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

    /// Answers with `code` and does nothing. Applies to the partitions that the filters select,
    /// else to the whole request.
    pub fn error(code: ErrorCode) -> Self {
        Self::new(Action::Error(code))
    }

    /// Serves the request, then answers with `code`. Only Produce and OffsetCommit do so, and the
    /// fault must be limited to them by [`on`](Self::on).
    ///
    /// [`Faults::add`](super::Faults::add) panics if it is not.
    pub fn apply_then_error(code: ErrorCode) -> Self {
        Self::new(Action::ApplyThenError(code))
    }

    /// Serves the request only after `time`.
    pub fn delay(time: Duration) -> Self {
        Self::new(Action::Delay(time))
    }

    /// Serves the request and answers `time` later.
    pub fn delay_answer(time: Duration) -> Self {
        Self::new(Action::DelayAnswer(time))
    }

    /// Does nothing and never answers. The connection stays open and stuck.
    pub fn silence() -> Self {
        Self::new(Action::Silence)
    }

    /// Serves the request and never answers.
    pub fn apply_then_silence() -> Self {
        Self::new(Action::ApplyThenSilence)
    }

    /// Closes the connection and does nothing.
    pub fn disconnect() -> Self {
        Self::new(Action::Disconnect)
    }

    /// Serves the request, then closes the connection without an answer.
    pub fn apply_then_disconnect() -> Self {
        Self::new(Action::ApplyThenDisconnect)
    }

    /// Does nothing and sends exactly these bytes, without a length in front.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::new(Action::Raw(bytes.into()))
    }

    /// Serves the request, sends the first `bytes` of the answer and closes the connection.
    pub fn truncate(bytes: usize) -> Self {
        Self::new(Action::Truncate(bytes))
    }

    /// Serves the request and answers with another correlation id.
    pub fn wrong_correlation_id() -> Self {
        Self::new(Action::WrongCorrelationId)
    }

    /// Serves the request and sends a frame that cannot be decoded. Its length and correlation id
    /// are right.
    pub fn garbled() -> Self {
        Self::new(Action::Garbled)
    }

    /// Leaves the partitions that the filters select out of the answer, and does nothing for them.
    /// The fault must be limited by [`on`](Self::on) to APIs whose answers list the partitions of
    /// the request.
    ///
    /// [`Faults::add`](super::Faults::add) panics if it is not.
    pub fn omit_partition() -> Self {
        Self::new(Action::Omit)
    }

    /// Answers a fetch of the selected partitions with the news that the log diverges from the
    /// client's. The last common epoch is `epoch`, which ended at offset `end` (KIP-595). Answers
    /// before version 12 have no field for it, so they come without records and without the news.
    pub fn diverging(epoch: i32, end: i64) -> Self {
        Self::new(Action::Diverging(epoch, end)).on(ApiKey::Fetch)
    }

    /// Serves the request and asks the client to send nothing for `time` (KIP-219).
    pub fn throttle(time: Duration) -> Self {
        Self::new(Action::Throttle(time))
    }

    /// Answers Metadata with the state of the cluster from when the fault was added.
    pub fn stale_metadata() -> Self {
        Self::new(Action::StaleMetadata).on(ApiKey::Metadata)
    }

    /// Answers Metadata as if the topic did not exist.
    pub fn hide_topic(topic: impl Into<String>) -> Self {
        Self::new(Action::HideTopic(topic.into())).on(ApiKey::Metadata)
    }

    /// Makes `node` the leader of a partition just before the request is served.
    pub fn move_leader(topic: impl Into<String>, partition: i32, node: i32) -> Self {
        Self::new(Action::Do(Step::MoveLeader(topic.into(), partition, node)))
    }

    /// Makes `node` the coordinator of a group just before the request is served.
    pub fn move_coordinator(group: impl Into<String>, node: i32) -> Self {
        Self::new(Action::Do(Step::MoveCoordinator(group.into(), node)))
    }

    /// Takes `node` down just before the request is served.
    pub fn broker_down(node: i32) -> Self {
        Self::new(Action::Do(Step::BrokerDown(node)))
    }

    /// Brings `node` back just before the request is served.
    pub fn broker_up(node: i32) -> Self {
        Self::new(Action::Do(Step::BrokerUp(node)))
    }

    /// Closes all connections to `node`, which stays up, just before the request is served. The
    /// request gets no answer.
    pub fn cut_connections(node: i32) -> Self {
        Self::new(Action::Do(Step::CutConnections(node)))
    }

    /// Creates a topic just before the request is served.
    pub fn create_topic(topic: impl Into<String>, partitions: u32) -> Self {
        Self::new(Action::Do(Step::CreateTopic(topic.into(), partitions)))
    }

    /// Deletes a topic just before the request is served.
    pub fn delete_topic(topic: impl Into<String>) -> Self {
        Self::new(Action::Do(Step::DeleteTopic(topic.into())))
    }

    /// Adds partitions to a topic until there are `count`, just before the request is served.
    pub fn add_partitions(topic: impl Into<String>, count: u32) -> Self {
        Self::new(Action::Do(Step::AddPartitions(topic.into(), count)))
    }

    /// Stops a follower from fetching, just before the request is served.
    pub fn stop_replica(topic: impl Into<String>, partition: i32, node: i32) -> Self {
        Self::new(Action::Do(Step::StopReplica(topic.into(), partition, node)))
    }

    /// Names the fault, for messages and the journal.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Applies only to requests of this API. May be called for several.
    #[must_use]
    pub fn on(mut self, api: ApiKey) -> Self {
        if !self.apis.contains(&api) {
            self.apis.push(api);
        }
        self
    }

    /// Applies only to requests to this broker.
    #[must_use]
    pub fn node(mut self, node: i32) -> Self {
        self.node = Some(node);
        self
    }

    /// Applies only to requests about this topic, and only to that part of them.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Applies only to requests about this partition, and only to that part of them.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Applies only to requests about this group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Applies only to requests of clients with this id.
    #[must_use]
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Begins with the `nth` matching request. The first is 1.
    #[must_use]
    pub fn nth(mut self, nth: u32) -> Self {
        self.skip = nth.saturating_sub(1);
        self
    }

    /// Ends after `times` requests. Default 1.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Never ends by itself. [`Faults::assert_all_fired`](crate::Faults::assert_all_fired) still
    /// expects it to fire once.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// Returns its name, or else a description of its action.
    pub(crate) fn name(&self) -> String {
        let apis: Vec<&str> = self.apis.iter().map(|api| api.name()).collect();
        match &self.name {
            Some(name) => name.clone(),
            None if apis.is_empty() => format!("{:?}", self.action),
            None => format!("{:?} on {}", self.action, apis.join(", ")),
        }
    }

    /// Returns the reason that the fault cannot be added, or `None` if it can.
    pub(crate) fn defect(&self) -> Option<String> {
        let (what, serving) = self.action.served_by()?;
        let ignoring = self.apis.iter().filter(|api| !serving.contains(api));
        let ignoring: Vec<&str> = ignoring.map(|api| api.name()).collect();
        let wrong = match self.apis.is_empty() {
            true => "every API".to_owned(),
            false if ignoring.is_empty() => return None,
            false => ignoring.join(", "),
        };
        let served: Vec<&str> = serving.iter().map(|api| api.name()).collect();
        Some(format!(
            "the fault '{}' is for {wrong}, but {what} is only served by {}; limit it to these with `on`",
            self.name(),
            served.join(", ")
        ))
    }

    /// Returns true if the filters select the request.
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

    /// Returns true if the filters select this partition. -1 stands for a whole topic.
    pub(crate) fn covers(&self, topic: &str, partition: i32) -> bool {
        self.topic.as_deref().is_none_or(|name| name == topic)
            && self
                .partition
                .is_none_or(|index| index == partition || partition == -1)
    }

    /// Returns true if the filters select one partition of a topic.
    pub(crate) fn names_a_partition(&self) -> bool {
        self.partition.is_some()
    }

    /// Returns true if the filters select a topic or a partition, which is only a part of a
    /// request.
    pub(crate) fn names_a_part(&self) -> bool {
        self.topic.is_some() || self.partition.is_some()
    }
}

impl Action {
    /// Returns a name of the action and the APIs that serve it, or `None` if every API does.
    fn served_by(&self) -> Option<(&'static str, &'static [ApiKey])> {
        match self {
            Self::ApplyThenError(_) => Some(("an error after the work", &ERROR_AFTER)),
            Self::Omit => Some(("an answer without a partition", &WITH_PARTITIONS)),
            Self::Diverging(..) => Some(("news of a diverging log", &[ApiKey::Fetch])),
            Self::StaleMetadata => Some(("an old state of the cluster", &[ApiKey::Metadata])),
            Self::HideTopic(_) => Some(("a hidden topic", &[ApiKey::Metadata])),
            Self::Error(_)
            | Self::Delay(_)
            | Self::DelayAnswer(_)
            | Self::Silence
            | Self::ApplyThenSilence
            | Self::Disconnect
            | Self::ApplyThenDisconnect
            | Self::Raw(_)
            | Self::Truncate(_)
            | Self::WrongCorrelationId
            | Self::Garbled
            | Self::Throttle(_)
            | Self::Do(_) => None,
        }
    }
}

/// The APIs that serve [`Fault::apply_then_error`].
const ERROR_AFTER: [ApiKey; 2] = [ApiKey::Produce, ApiKey::OffsetCommit];

/// The APIs that serve [`Fault::omit_partition`].
const WITH_PARTITIONS: [ApiKey; 11] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::DeleteRecords,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::ElectLeaders,
    ApiKey::OffsetDelete,
    ApiKey::DescribeTopicPartitions,
];
