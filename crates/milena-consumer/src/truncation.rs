//! A log that was cut below what was read of it: told by the policy, and never gone over in silence (KIP-320).

use std::sync::Arc;

use milena_core::{Error, ErrorKind, Event, Offset};
use tokio::time::Instant;

use crate::core::Core;
use crate::partition::{Cut, Partition, Place};
use crate::settings::OffsetReset;

/// The log of `partition` parts from what was read of it at `end`; `None` where nobody knows where.
pub(crate) fn found(core: &Core, partition: &Arc<Partition>, turn: u64, end: Option<Offset>) {
    let policy = core.settings.offset_reset;
    let to = match (policy, end) {
        // As Kafka's clients: the first offset that is not what was read, whichever way the policy points.
        (OffsetReset::None, _) => Place::Lookup(OffsetReset::None),
        (_, Some(end)) => Place::At(end),
        (policy, None) => Place::Lookup(policy),
    };
    let place = partition.place();
    let backoff = core.cluster.backoff();
    let quiet = |times| Instant::now() + backoff.delay(times);
    match partition.cut(turn, end, to, quiet) {
        Cut::Overtaken => return,
        Cut::Unread => {
            tracing::info!(partition = %place, "the log was cut above what was read; the rest is fetched anew");
        }
        Cut::Read(from) => {
            tracing::error!(partition = %place, %from, to = ?end, "the log was cut below the position: records that were read are gone");
            core.observers().emit(|| Event::LogTruncated {
                group: core.settings.group_name(),
                partition: place,
                from: from.to_wire(),
                to: end.map(Offset::to_wire),
            });
            if policy == OffsetReset::None {
                let error = Error::new(ErrorKind::LogTruncated, tell(from, end)).at(place);
                let error = error.setting("auto.offset.reset");
                let (_, turn) = partition.where_to_fetch();
                partition.fail(turn, error.offset(end.unwrap_or(from)));
                core.ready.notify_waiters();
            }
        }
    }
    core.wake();
}

/// The topic was deleted and made again under its name: positions in the old one are out of the new one's range, whatever their number.
pub(crate) fn made_again(core: &Core, partition: &Arc<Partition>) {
    // "Latest" leaves out what was there before, and all of the new topic came after.
    let policy = match core.settings.offset_reset {
        OffsetReset::Latest => OffsetReset::Earliest,
        policy => policy,
    };
    let Some(from) = partition.made_again(Place::Lookup(policy)) else {
        return;
    };
    let place = partition.place();
    tracing::warn!(partition = %place, %from, "the topic was made again; the position in the old one does not count");
    if policy == OffsetReset::None {
        let what =
            "the topic was deleted and made again, and auto.offset.reset is none: seek, or set it";
        let error = Error::new(ErrorKind::State, what).at(place).offset(from);
        let (_, turn) = partition.where_to_fetch();
        partition.fail(turn, error.setting("auto.offset.reset"));
        core.ready.notify_waiters();
    }
    core.wake();
}

fn tell(from: Offset, end: Option<Offset>) -> String {
    let where_to = match end {
        Some(end) => format!("it diverged at offset {end}"),
        None => "the broker could not say where it diverged".to_owned(),
    };
    format!(
        "the log was truncated below position {from}, and {where_to}: set auto.offset.reset, or seek"
    )
}
