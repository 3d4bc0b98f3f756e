//! Fetch, with its sessions, long polls and byte limits, and the reads by the partition's leader.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{ErrorCode, IsolationLevel};
use milena_protocol::messages::FetchRequest;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::fetch_answer::{self, FetchPart, Parts};
use crate::context::{Answer, Context};
use crate::log::ReadBatches;
use crate::partition::{Partition, PartitionState};
use crate::session::{Asked, Place, Plan, Told, Wanted};
use crate::topic::Topic;

/// Serves a Fetch request. Waits until there are enough bytes, something urgent, or the time is up.
pub(super) async fn handle(context: &Context, request: FetchRequest) -> Answer {
    let asked = asked(context, &request);
    let entered = context
        .fault_of_session()
        .map_or_else(|| context.node.sessions.lock().enter(asked), Err);
    let plan = match entered {
        Ok(plan) => plan,
        Err(code) => return fetch_answer::refused(context, code),
    };
    let limits = Limits {
        max_bytes: usize::try_from(request.max_bytes).unwrap_or(0),
        committed_only: request.isolation_level == IsolationLevel::ReadCommitted.to_wire(),
    };
    let rack = request.rack_id.as_str();
    let deadline =
        Instant::now() + Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
    let places: Vec<FetchTarget> = plan
        .wanted
        .iter()
        .map(|wanted| find(context, wanted))
        .collect();
    let wake = Arc::new(Notify::new());
    let mut watched = false;
    let parts = loop {
        let parts = read_all(context, &plan, &places, limits, rack);
        let done = request.max_wait_ms <= 0
            || plan.wanted.is_empty()
            || parts.iter().any(FetchPart::is_urgent)
            || parts.iter().map(|part| part.records.size).sum::<usize>() >= min_bytes
            || Instant::now() >= deadline;
        if done {
            break parts;
        }
        if !watched {
            // The partitions are watched before they are read again. An append in between is
            // therefore not missed.
            watched = true;
            watch(&places, &wake);
            continue;
        }
        tokio::select! {
            () = wake.notified() => watch(&places, &wake),
            () = tokio::time::sleep_until(deadline) => {}
        }
    };
    if watched {
        for partition in places.iter().filter_map(FetchTarget::partition) {
            partition.unwatch(&wake);
        }
    }
    let parts = news(context, &plan, parts);
    fetch_answer::encode(context, plan.id, &parts, limits.committed_only)
}

/// The limits of a whole request.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// The largest size of all records together, in bytes.
    max_bytes: usize,
    /// True if records of open or aborted transactions are left out.
    committed_only: bool,
}

/// The result of looking up a wanted partition.
enum FetchTarget {
    Partition(Arc<Topic>, Arc<Partition>),
    Missing(ErrorCode),
}

impl FetchTarget {
    fn partition(&self) -> Option<&Arc<Partition>> {
        match self {
            Self::Partition(_, partition) => Some(partition),
            Self::Missing(_) => None,
        }
    }
}

impl Context {
    /// Returns the error of a fault that is about fetch sessions, not about partitions.
    fn fault_of_session(&self) -> Option<ErrorCode> {
        self.hits.error().filter(|code| {
            matches!(
                *code,
                ErrorCode::INVALID_FETCH_SESSION_EPOCH
                    | ErrorCode::FETCH_SESSION_ID_NOT_FOUND
                    | ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR
            )
        })
    }
}

/// Registers `wake` with every partition that was found.
fn watch(places: &[FetchTarget], wake: &Arc<Notify>) {
    for partition in places.iter().filter_map(FetchTarget::partition) {
        partition.watch(wake);
    }
}

/// Reads what the request says about its session.
fn asked(context: &Context, request: &FetchRequest) -> Asked {
    let mut asked = Asked {
        id: request.session_id,
        epoch: if context.version < 7 {
            -1
        } else {
            request.session_epoch
        },
        by_id: context.version >= 13,
        ..Asked::default()
    };
    for topic in &request.topics {
        asked
            .wanted
            .extend(topic.partitions.iter().map(|each| Wanted {
                topic: topic.topic.to_string(),
                topic_id: topic.topic_id,
                partition: each.partition,
                offset: each.fetch_offset,
                max_bytes: each.partition_max_bytes,
                leader_epoch: each.current_leader_epoch,
                last_fetched_epoch: each.last_fetched_epoch,
            }));
    }
    for topic in &request.forgotten_topics_data {
        asked
            .forgotten
            .extend(topic.partitions.iter().map(|partition| Place {
                topic: topic.topic.to_string(),
                topic_id: topic.topic_id,
                partition: *partition,
            }));
    }
    asked
}

/// Looks up one wanted partition, by topic id from version 13 on.
fn find(context: &Context, wanted: &Wanted) -> FetchTarget {
    let (topic, missing) = if context.version >= 13 {
        (
            context.cluster.topic_by_id(wanted.topic_id),
            ErrorCode::UNKNOWN_TOPIC_ID,
        )
    } else {
        (
            context.cluster.topic(&wanted.topic),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        )
    };
    let Some(topic) = topic else {
        return FetchTarget::Missing(missing);
    };
    match topic.partition(wanted.partition) {
        Some(partition) => FetchTarget::Partition(topic, partition),
        None => FetchTarget::Missing(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    }
}

/// Reads every partition in turn within the byte limit of the request. The first batch of all is
/// returned whole even if it is larger, so that a consumer cannot get stuck on it.
fn read_all(
    context: &Context,
    plan: &Plan,
    places: &[FetchTarget],
    limits: Limits,
    rack: &str,
) -> Parts {
    let mut left = limits.max_bytes;
    let mut nothing_yet = true;
    let mut parts = Vec::with_capacity(places.len());
    for (wanted, found) in plan.wanted.iter().zip(places) {
        let mut part = FetchPart::new(wanted);
        match found {
            FetchTarget::Missing(code) => part.error = Some(*code),
            FetchTarget::Partition(topic, partition) => {
                if context.hits.omits(&topic.name, wanted.partition) {
                    continue;
                }
                let preferred = nearer(context, &partition.lock(), rack);
                match context.hits.error_at(&topic.name, wanted.partition) {
                    Some(code) => part.error = Some(code),
                    None if preferred.is_some() => part.preferred = preferred,
                    None => read(
                        context,
                        wanted,
                        partition,
                        limits,
                        left,
                        nothing_yet,
                        &mut part,
                    ),
                }
            }
        }
        left = left.saturating_sub(part.records.size);
        nothing_yet &= part.records.is_empty();
        parts.push(part);
    }
    parts
}

/// Reads one partition into `part`.
fn read(
    context: &Context,
    wanted: &Wanted,
    partition: &Partition,
    limits: Limits,
    left: usize,
    at_least_one: bool,
    part: &mut FetchPart,
) {
    let state = partition.lock();
    // With racks, a follower in sync serves reads like the leader (KIP-392).
    let serves = context.version >= 11
        && context.node.rack.is_some()
        && state.replicas.in_sync().contains(&context.node.id);
    let asked = match state.leader {
        Some(leader) if serves => leader,
        _ => context.node.id,
    };
    if let Err((code, _)) = state.led_by(asked, wanted.leader_epoch) {
        part.error = Some(code);
        part.leader = state.leader.map(|leader| (leader, state.leader_epoch));
        return;
    }
    let (start, high_watermark) = (state.log.start(), state.high_watermark());
    part.told = Told {
        high_watermark,
        last_stable_offset: state.last_stable_offset(),
        log_start: start,
    };
    if let Some(told) = context.hits.diverging(&wanted.topic, wanted.partition) {
        part.diverging = Some(told);
        return;
    }
    // The consumer has read records of an epoch that this log ends before. It learns where the logs
    // diverge (KIP-595).
    if wanted.last_fetched_epoch >= 0 {
        let known = state
            .log
            .end_of_epoch(wanted.last_fetched_epoch, state.leader_epoch);
        match known {
            Some((epoch, end)) if epoch < wanted.last_fetched_epoch || end < wanted.offset => {
                part.diverging = Some((epoch, end));
                return;
            }
            _ => {}
        }
    }
    if wanted.offset < start || wanted.offset > high_watermark {
        part.error = Some(ErrorCode::OFFSET_OUT_OF_RANGE);
        part.told = Told {
            high_watermark: -1,
            last_stable_offset: -1,
            log_start: -1,
        };
        return;
    }
    let upto = if limits.committed_only {
        state.last_stable_offset()
    } else {
        high_watermark
    };
    let max = usize::try_from(wanted.max_bytes).unwrap_or(0).min(left);
    if limits.committed_only {
        part.aborted = state.transactions.aborted(wanted.offset, upto);
    }
    part.records = state.log.read(wanted.offset, upto, max, at_least_one);
}

/// Returns the replica in the consumer's rack, if this broker is the leader and in another rack.
fn nearer(context: &Context, state: &PartitionState, rack: &str) -> Option<i32> {
    // An older answer has no field for the replica. The consumer would get neither records nor a
    // place to read them from.
    if context.version < 11 || rack.is_empty() {
        return None;
    }
    if state.named_replica.is_some() {
        return state.named_replica;
    }
    let own = context.node.rack.as_deref()?;
    if own == rack || state.leader != Some(context.node.id) {
        return None;
    }
    let in_rack = |id: &i32| {
        let node = context.cluster.node(*id);
        node.is_some_and(|node| node.is_up() && node.rack.as_deref() == Some(rack))
    };
    state.replicas.in_sync().iter().copied().find(in_rack)
}

/// Removes from an incremental answer everything that the client already knows.
fn news(context: &Context, plan: &Plan, parts: Parts) -> Parts {
    if plan.id == 0 {
        return parts;
    }
    let mut sessions = context.node.sessions.lock();
    let mut last_given = None;
    let told = parts
        .into_iter()
        .filter(|part| {
            let plain = !part.is_urgent();
            let news = sessions.tell(plan.id, &part.place, plain.then_some(part.told));
            if !part.records.is_empty() {
                last_given = Some(part.place.clone());
            }
            !plan.incremental || news || !part.records.is_empty()
        })
        .collect();
    if let Some(place) = last_given {
        sessions.gave(plan.id, &place);
    }
    told
}

impl FetchPart {
    fn new(wanted: &Wanted) -> Self {
        Self {
            place: Place {
                topic: wanted.topic.clone(),
                topic_id: wanted.topic_id,
                partition: wanted.partition,
            },
            error: None,
            told: Told {
                high_watermark: -1,
                last_stable_offset: -1,
                log_start: -1,
            },
            diverging: None,
            leader: None,
            preferred: None,
            aborted: Vec::new(),
            records: ReadBatches::default(),
        }
    }

    /// Returns true if the part is worth an answer even without records.
    fn is_urgent(&self) -> bool {
        self.error.is_some() || self.diverging.is_some() || self.preferred.is_some()
    }
}
