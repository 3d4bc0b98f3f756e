//! The task that looks up positions. A position is the committed offset of the group, or otherwise
//! the start or the end of the log, or an offset by time. The task also looks up log ends that no
//! fetch reports, for the lag.

pub(crate) mod baseline;
pub(crate) mod query;
pub(crate) mod truncation;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use milena_core::{
    Error, ErrorKind, Event, LeaderEpoch, NodeId, Offset, OffsetReset, Result, Timestamp,
    TopicPartition,
};
use milena_lanes::End;
use milena_pool::Cluster;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::commit::committed::{CommittedOffsets, Found, is_about_the_member};
use crate::core::Core;
use crate::group::subscription::Subscription;
use crate::partition::{Committing, FetchFrom, Partition, PartitionLookup};
use crate::passing::passes;
use crate::settings::Settings;
use baseline::Baseline;
use query::{EpochEnd, Listed, LogQueries};

/// Looks up positions as partitions need them, until the future is dropped.
pub(crate) async fn run(core: Arc<Core>) {
    let mut changed = core.cluster.changed();
    let mut subscription = core.group.subscription.subscribe();
    let note = || note_baseline(&core.cluster, &core.group.subscription, &core.baseline);
    let mut lookups = Lookups {
        core: Arc::clone(&core),
        flying: FuturesUnordered::new(),
        busy: HashSet::new(),
        quiet: HashMap::new(),
    };
    // Without a group there is no subscription whose partitions could be noted.
    let has_none = core.settings.group.is_none();
    let mut noting = Box::pin(note());
    let mut noted = has_none;
    loop {
        let wake_at = lookups.start(Instant::now());
        tokio::select! {
            Some(landed) = lookups.flying.next(), if !lookups.flying.is_empty() => {
                if let Err(error) = lookups.land(landed, Instant::now()) {
                    core.lifecycle.end(End::Failed(error));
                    return;
                }
            }
            () = core.wakes.lookup.notified() => {}
            () = sleep_until(wake_at) => {}
            () = &mut noting, if !noted => noted = true,
            Ok(()) = subscription.changed() => {
                noting = Box::pin(note());
                noted = has_none;
            }
            // A partition without a leader may have one now.
            gone = changed.changed() => if gone.is_err() {
                return;
            }
        }
    }
}

/// A partition, and its `turn` when it was asked about. An answer for another turn is stale.
type Turned = (Arc<Partition>, u64);

/// A broker and the kind of question. At most one question of each kind is in flight to each
/// broker, so a broker that does not answer delays only its own partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Whom {
    /// Committed offsets, asked of the group's coordinator.
    Coordinator,
    /// Offsets by time, asked of the leader.
    Offsets(NodeId),
    /// Ends of leader epochs, asked of the leader.
    Epochs(NodeId),
    /// Log ends for the lag, asked of the leader.
    Ends(NodeId),
}

/// Partitions to ask one broker about, by the kind of question.
enum Question {
    Committed(Vec<Turned>),
    Offsets(Vec<(Turned, OffsetReset)>),
    Epochs(Vec<(Turned, Offset, LeaderEpoch)>),
    Ends(Vec<Turned>),
}

/// The partitions that were asked about, and the broker's answer.
enum Reply {
    Committed(Vec<Turned>, Result<HashMap<TopicPartition, Found>>),
    Offsets(
        Vec<(Turned, OffsetReset)>,
        Result<HashMap<TopicPartition, Listed>>,
    ),
    Epochs(
        Vec<(Turned, Offset, LeaderEpoch)>,
        Result<HashMap<TopicPartition, EpochEnd>>,
    ),
    Ends(Vec<Turned>, Result<HashMap<TopicPartition, Listed>>),
}

/// A question that has ended, with or without an answer.
struct EndedQuestion {
    /// The broker and the kind of question.
    whom: Whom,
    /// The time at which the question was sent.
    asked_at: Instant,
    /// The answer, or the error in its place.
    answer: Reply,
}

/// The backoff of a broker that did not answer a kind of question.
#[derive(Default)]
struct Quiet {
    /// The broker is not asked again before this time.
    until: Option<Instant>,
    /// The number of failures in a row.
    failures: u32,
}

/// The state of the task.
struct Lookups {
    /// The state of the consumer.
    core: Arc<Core>,
    /// Questions in flight.
    flying: FuturesUnordered<Pin<Box<dyn Future<Output = EndedQuestion> + Send>>>,
    /// The brokers and kinds of the questions in flight.
    busy: HashSet<Whom>,
    /// Backoffs of brokers that did not answer. An answer removes the entry.
    quiet: HashMap<Whom, Quiet>,
}

impl Lookups {
    /// Sends all questions that can be sent now. Returns the latest time for the next call.
    fn start(&mut self, now: Instant) -> Instant {
        let mut wake_at = now + IDLE;
        let mut questions: HashMap<Whom, Question> = HashMap::new();
        let metadata = self.core.cluster.metadata();
        let mut leaderless = Vec::new();
        // Topics of partitions whose log end is due. The cluster drops topics from its metadata
        // that are not used for long. Nothing is fetched of a paused partition, so its topic may be
        // missing.
        let mut idle = Vec::new();
        for partition in self.core.assignment.listed().iter() {
            let (place, turn) = partition.where_to_fetch();
            let due = match place {
                FetchFrom::At(_) => PartitionLookup::of(partition).end_due(ENDS),
                // The reader has got the error already. Only a seek leaves this place.
                FetchFrom::Lookup(OffsetReset::None) => continue,
                _ => PartitionLookup::of(partition).due(),
            };
            if let Some(due) = due.filter(|due| *due > now) {
                wake_at = wake_at.min(due);
                continue;
            }
            if place == FetchFrom::Committed {
                push(&mut questions, Whom::Coordinator, partition, place, turn);
                continue;
            }
            let Some(leader) = metadata.leader(partition.place()) else {
                let topic = partition.place().topic.clone();
                match place {
                    FetchFrom::At(_) => {
                        idle.push(topic);
                        wake_at = wake_at.min(now + ENDS);
                    }
                    _ => leaderless.push(topic),
                }
                continue;
            };
            let whom = match place {
                FetchFrom::At(_) => Whom::Ends(leader),
                FetchFrom::Unsure(..) => Whom::Epochs(leader),
                FetchFrom::Lookup(_) | FetchFrom::Committed => Whom::Offsets(leader),
            };
            push(&mut questions, whom, partition, place, turn);
        }
        if !idle.is_empty() {
            self.core.cluster.want_topics(idle);
        }
        if !leaderless.is_empty() {
            self.core.cluster.want_topics(leaderless);
            self.core.cluster.request_refresh();
            wake_at = wake_at.min(now + LEADERLESS);
        }
        for (whom, question) in questions {
            if self.busy.contains(&whom) {
                continue;
            }
            let quiet = self.quiet.get(&whom).and_then(|quiet| quiet.until);
            if let Some(until) = quiet.filter(|until| *until > now) {
                wake_at = wake_at.min(until);
                continue;
            }
            if whom == Whom::Coordinator
                && self.core.group.is_coordinated()
                && self.core.membership.borrow().is_none()
            {
                // This consumer is not a member now. The next membership brings an assignment of
                // its own.
                wake_at = wake_at.min(now + LEADERLESS);
                continue;
            }
            self.busy.insert(whom);
            let core = Arc::clone(&self.core);
            self.flying.push(Box::pin(async move {
                let asked_at = Instant::now();
                let answer = ask(
                    &CommittedOffsets::of(&core),
                    &core.logs,
                    &core.settings,
                    whom,
                    question,
                )
                .await;
                EndedQuestion {
                    whom,
                    asked_at,
                    answer,
                }
            }));
        }
        wake_at
    }

    /// Applies the answer to a question.
    ///
    /// # Errors
    /// An error that ends the consumer, for example if the group may not be read or the cluster was
    /// closed.
    fn land(&mut self, landed: EndedQuestion, now: Instant) -> Result<()> {
        let EndedQuestion {
            whom,
            asked_at,
            answer,
        } = landed;
        self.busy.remove(&whom);
        match answer {
            Reply::Committed(asked, answer) => {
                let partitions = asked.iter().map(|(partition, _)| partition);
                if let Some(found) = self.judge(whom, answer, partitions, now)? {
                    self.begin_at_committed(&asked, &found, now);
                }
            }
            Reply::Offsets(asked, answer) => {
                let partitions = asked.iter().map(|((partition, _), _)| partition);
                if let Some(found) = self.judge(whom, answer, partitions, now)? {
                    self.begin_in_log(asked, found, now);
                }
            }
            Reply::Epochs(asked, Err(error)) if error.kind() == ErrorKind::Unsupported => {
                // The broker is older than KIP-320 and cannot check positions. They count as valid.
                for ((partition, turn), ..) in asked {
                    PartitionLookup::of(&partition).validated(turn);
                }
            }
            Reply::Epochs(asked, answer) => {
                let partitions = asked.iter().map(|((partition, _), ..)| partition);
                if let Some(ends) = self.judge(whom, answer, partitions, now)? {
                    self.validate(asked, ends, now);
                }
            }
            Reply::Ends(asked, answer) => {
                let partitions = asked.iter().map(|(partition, _)| partition);
                if let Some(mut ends) = self.judge(whom, answer, partitions, now)? {
                    for (partition, turn) in asked {
                        if let Some(Ok((Some(end), ..))) = ends.remove(partition.place()) {
                            let level = self.core.settings.isolation;
                            PartitionLookup::of(&partition).note_end(turn, end, level, asked_at);
                        }
                        partition.end_asked(now);
                    }
                }
            }
        }
        self.core.wakes.fetch.notify_one();
        Ok(())
    }

    /// Notes whether the broker answered. If it did not, it is not asked again before a backoff,
    /// and this returns `None`.
    ///
    /// # Errors
    /// An error that ends the consumer.
    fn judge<'a, A>(
        &mut self,
        whom: Whom,
        answer: Result<A>,
        asked: impl Iterator<Item = &'a Arc<Partition>>,
        now: Instant,
    ) -> Result<Option<A>> {
        let error = match answer {
            Ok(answer) => {
                self.quiet.remove(&whom);
                return Ok(Some(answer));
            }
            Err(error) => error,
        };
        if error.is_fatal() && !passes(&error) {
            return Err(error);
        }
        let core = &self.core;
        core.cluster.request_refresh();
        let quiet = self.quiet.entry(whom).or_default();
        quiet.until = Some(now + core.cluster.backoff().delay(quiet.failures));
        quiet.failures = quiet.failures.saturating_add(1);
        // The lack of a membership ends with the next assignment. Log ends are only needed for the
        // lag. Neither is worth a warning.
        let ordinary = error.kind() == ErrorKind::State || is_about_the_member(&error);
        if ordinary || matches!(whom, Whom::Ends(_)) {
            tracing::debug!(?whom, %error, "positions are looked up again");
        } else {
            core.reports.lookups_failed(asked, &error);
        }
        Ok(None)
    }

    /// Sets positions to the committed offsets. Where nothing is committed, `auto.offset.reset`
    /// applies.
    fn begin_at_committed(
        &self,
        asked: &[Turned],
        found: &HashMap<TopicPartition, Found>,
        now: Instant,
    ) {
        for (partition, turn) in asked {
            let place = partition.place();
            match found.get(place) {
                Some(Ok(Some(found))) => {
                    let place = match found.leader_epoch {
                        Some(epoch) => FetchFrom::Unsure(found.offset, epoch),
                        None => FetchFrom::At(found.offset),
                    };
                    if PartitionLookup::of(partition).resolve(*turn, place, found.leader_epoch) {
                        Committing::of(partition).note_committed(found.offset);
                    }
                }
                Some(Ok(None)) => self.begin(partition, *turn),
                Some(Err(code)) => {
                    let error = Error::broker(*code).api("OffsetFetch").at(place);
                    self.failed(partition, *turn, &error, now);
                }
                None => {
                    let what =
                        "the answer leaves out a partition whose committed offset was asked for";
                    let error = Error::new(ErrorKind::Decode, what).at(place);
                    self.failed(partition, *turn, &error, now);
                }
            }
        }
    }

    /// Sets positions to the start or the end of the log, or to the offset of a time.
    fn begin_in_log(
        &self,
        asked: Vec<(Turned, OffsetReset)>,
        mut found: HashMap<TopicPartition, Listed>,
        now: Instant,
    ) {
        for ((partition, turn), reset) in asked {
            let place = partition.place();
            let by_time = matches!(reset, OffsetReset::Timestamp(_) | OffsetReset::Duration(_));
            match found.remove(place) {
                Some(Ok((Some(offset), _, _))) => self.begin_at(&partition, turn, offset),
                Some(Ok((None, _, _))) if by_time => {
                    // All records are older. The next record to be written is the first that is
                    // not.
                    PartitionLookup::of(&partition).resolve(
                        turn,
                        FetchFrom::Lookup(OffsetReset::Latest),
                        None,
                    );
                }
                Some(Ok((None, _, _))) => {
                    let error = Error::new(ErrorKind::Decode, "the answer gives no offset");
                    self.failed(&partition, turn, &error.at(place), now);
                }
                None => self.failed(&partition, turn, &left_out(place), now),
                Some(Err(error)) => self.failed(&partition, turn, &error, now),
            }
        }
    }

    /// Compares positions with the ends of the epochs that they were read in. This detects a log
    /// that was truncated since (KIP-320).
    fn validate(
        &self,
        asked: Vec<(Turned, Offset, LeaderEpoch)>,
        mut ends: HashMap<TopicPartition, EpochEnd>,
        now: Instant,
    ) {
        for ((partition, turn), offset, _) in asked {
            match ends.remove(partition.place()) {
                Some(Ok(Some((_, end)))) if end >= offset => {
                    PartitionLookup::of(&partition).validated(turn);
                }
                Some(Ok(Some((_, end)))) => {
                    self.core.truncations.found(&partition, turn, Some(end));
                }
                Some(Ok(None)) => self.core.truncations.found(&partition, turn, None),
                None => self.failed(&partition, turn, &left_out(partition.place()), now),
                Some(Err(error)) => self.failed(&partition, turn, &error, now),
            }
        }
    }

    /// Handles a failed lookup of one partition. It is looked up again after a backoff. If waiting
    /// cannot help, its reader gets the error.
    fn failed(&self, partition: &Arc<Partition>, turn: u64, error: &Error, now: Instant) {
        let core = &self.core;
        core.reports.lookup_failed(partition, error);
        let backoff = core.cluster.backoff();
        PartitionLookup::of(partition).back_off(now, |failures| backoff.delay(failures));
        if passes(error) || is_about_the_member(error) {
            core.cluster.request_refresh();
            return;
        }
        let denied = error
            .code()
            .is_some_and(milena_core::ErrorCode::is_authorization);
        if !(denied && core.assignment.may_leave_out(partition)) {
            partition.fail(turn, error.clone());
            core.wakes.wake_receivers();
        }
    }

    /// Returns true if the partition appeared after the consumer subscribed.
    fn is_new(&self, place: &TopicPartition) -> bool {
        let subscription = self.core.group.subscription.borrow();
        self.core.baseline.lock().is_new(&subscription, place)
    }

    /// Applies `auto.offset.reset` to a partition without a committed offset.
    fn begin(&self, partition: &Partition, turn: u64) {
        // `latest` leaves out records from before the consumer subscribed. All records of a
        // partition that appeared later are newer than that.
        let reset = match self.core.settings.offset_reset {
            OffsetReset::Latest if self.is_new(partition.place()) => {
                tracing::info!(partition = %partition.place(), "the partition is new: it is read from its first record");
                OffsetReset::Earliest
            }
            reset => reset,
        };
        if PartitionLookup::of(partition).resolve(turn, FetchFrom::Lookup(reset), None)
            && reset == OffsetReset::None
        {
            let what = "the group has committed no offset for the partition and auto.offset.reset is none: seek, or set it";
            let (_, turn) = partition.where_to_fetch();
            partition.fail(
                turn,
                Error::new(ErrorKind::State, what).setting("auto.offset.reset"),
            );
            self.core.wakes.wake_receivers();
        }
    }

    /// Sets the position to an offset that was looked up in the log. Reports a reset, if this was
    /// one.
    fn begin_at(&self, partition: &Partition, turn: u64, offset: Offset) {
        let place = partition.place();
        let before = PartitionLookup::of(partition).reset_from();
        if PartitionLookup::of(partition).resolve(turn, FetchFrom::At(offset), None)
            && let Some(before) = before
        {
            tracing::warn!(partition = %place, from = %before, to = %offset, "the position was out of range and is reset");
            self.core.reports.emit(|group| Event::OffsetReset {
                group,
                partition: place,
                from: before.to_wire(),
                to: offset.to_wire(),
            });
        }
    }
}

/// Adds a partition to the question that is sent to `whom`.
fn push(
    questions: &mut HashMap<Whom, Question>,
    whom: Whom,
    partition: &Arc<Partition>,
    place: FetchFrom,
    turn: u64,
) {
    let turned = (Arc::clone(partition), turn);
    let empty = || match place {
        FetchFrom::Committed => Question::Committed(Vec::new()),
        FetchFrom::Lookup(_) => Question::Offsets(Vec::new()),
        FetchFrom::Unsure(..) => Question::Epochs(Vec::new()),
        FetchFrom::At(_) => Question::Ends(Vec::new()),
    };
    match (questions.entry(whom).or_insert_with(empty), place) {
        (Question::Committed(list) | Question::Ends(list), _) => list.push(turned),
        (Question::Offsets(list), FetchFrom::Lookup(reset)) => list.push((turned, reset)),
        (Question::Epochs(list), FetchFrom::Unsure(offset, epoch)) => {
            list.push((turned, offset, epoch));
        }
        (Question::Offsets(_) | Question::Epochs(_), _) => {}
    }
}

/// Sends a question and waits for its answer.
async fn ask(
    committed: &CommittedOffsets<'_>,
    logs: &LogQueries,
    settings: &Settings,
    whom: Whom,
    question: Question,
) -> Reply {
    let node = match whom {
        Whom::Coordinator => None,
        Whom::Offsets(node) | Whom::Epochs(node) | Whom::Ends(node) => Some(node),
    };
    match question {
        Question::Committed(asked) => {
            let places: Vec<_> = asked.iter().map(|(p, _)| p.place().clone()).collect();
            let answer = committed.fetch(&places).await;
            Reply::Committed(asked, answer)
        }
        Question::Offsets(asked) => {
            let now = settings.now();
            let questions: Vec<_> = asked
                .iter()
                .map(|((partition, _), reset)| (partition.place().clone(), time_of(*reset, now)))
                .collect();
            let answer = logs.ask_offsets(node, &questions).await;
            Reply::Offsets(asked, answer)
        }
        Question::Epochs(asked) => {
            let questions: Vec<_> = asked
                .iter()
                .map(|((partition, _), _, epoch)| (partition.place().clone(), *epoch))
                .collect();
            let answer = logs.ask_epochs(node, &questions).await;
            Reply::Epochs(asked, answer)
        }
        Question::Ends(asked) => {
            let questions: Vec<_> = asked
                .iter()
                .map(|(partition, _)| (partition.place().clone(), query::LATEST))
                .collect();
            let answer = logs.ask_offsets(node, &questions).await;
            Reply::Ends(asked, answer)
        }
    }
}

/// Notes the partition counts of subscribed topics that are not noted yet.
async fn note_baseline(
    cluster: &Cluster,
    subscription: &watch::Sender<Subscription>,
    baseline: &Mutex<Baseline>,
) {
    baseline.lock().begin();
    let subscription = subscription.borrow().clone();
    // Held to the end of this function, so that the metadata covers all topics until they are
    // noted.
    let all = subscription
        .pattern
        .is_some()
        .then(|| cluster.want_all_topics());
    if all.is_some() && cluster.refresh().await.is_err() {
        // The baseline stays incomplete, so no partition counts as new.
        return;
    }
    for topic in &subscription.topics {
        if cluster.topic(topic).await.is_err() {
            return;
        }
    }
    let metadata = cluster.metadata();
    baseline.lock().note(&subscription, &metadata);
}

fn left_out(place: &TopicPartition) -> Error {
    let what = "the answer leaves out a partition that was asked about";
    Error::new(ErrorKind::Decode, what).at(place)
}

/// Returns the timestamp to send in ListOffsets.
fn time_of(reset: OffsetReset, now: Timestamp) -> i64 {
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    match reset {
        OffsetReset::Latest => query::LATEST,
        OffsetReset::Earliest | OffsetReset::None => query::EARLIEST,
        OffsetReset::Timestamp(time) => time.to_millis(),
        OffsetReset::Duration(back) => now.to_millis().saturating_sub(millis(back)).max(0),
    }
}

/// The longest time between two looks at all partitions.
const IDLE: Duration = Duration::from_secs(3600);
/// The wait before the next look for a leader or a membership.
const LEADERLESS: Duration = Duration::from_millis(250);
/// The age at which a log end is looked up again if no fetch reports it. This is so for partitions
/// that are paused or whose reader is behind.
const ENDS: Duration = Duration::from_secs(5);
