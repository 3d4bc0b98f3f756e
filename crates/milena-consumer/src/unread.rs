//! A watch for programs that stop receiving while records wait. It reports them, and ends the
//! consumer if the `on_stuck` policy says so.
//!
//! Heartbeats continue while a program hangs. Without this watch its partitions would stay assigned
//! and unread for ever, and nothing would show it.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorKind, Event, Offset, StuckPolicy, TopicPartition};
use tokio::time::{Instant, sleep};

use crate::assignment::Assignment;
use crate::core::Core;
use crate::reports::Reports;

/// Checks that waiting records are received, until the consumer closes or a handler takes its
/// records.
pub(crate) async fn run(core: Arc<Core>) {
    let limit = core.settings.max_processing_time;
    let mut idle = Idle::new(limit);
    loop {
        tokio::select! {
            () = sleep(limit / 8) => {}
            () = core.lifecycle.closing().cancelled() => return,
        }
        if core.assignment.is_processing() {
            // Lanes watch their handlers, and receivers get no records any more.
            core.lifecycle.closing().cancelled().await;
            return;
        }
        let (positions, waiting) = look(&core.assignment);
        let Some(elapsed) = idle.after(Instant::now(), positions, waiting.is_some()) else {
            continue;
        };
        if let Some((place, offset)) = waiting {
            tell(&core.reports, &place, offset, elapsed);
            if core.settings.on_stuck == StuckPolicy::StopLane {
                core.lifecycle.fail(stuck(&place, offset, elapsed));
            }
        }
    }
}

/// The position of each partition.
type Positions = Vec<(TopicPartition, Option<Offset>)>;

/// Returns the position of each partition, and one partition whose records wait to be received.
/// Paused partitions do not count as waiting.
fn look(assignment: &Assignment) -> (Positions, Option<(TopicPartition, Offset)>) {
    let now = Instant::now();
    let mut waiting = None;
    let partitions = assignment.partitions();
    let positions = partitions.iter().map(|partition| {
        let position = partition.position();
        let figures = partition.figures(now, false);
        let waits = figures.waiting.is_some() && figures.lag != Some(0);
        if waits && !partition.is_paused() {
            waiting = position.map(|offset| (partition.place().clone(), offset));
        }
        (partition.place().clone(), position)
    });
    (positions.collect(), waiting)
}

/// Reports that records wait and are not received.
fn tell(reports: &Reports, place: &TopicPartition, offset: Offset, elapsed: Duration) {
    let group = reports.group_name();
    tracing::warn!(group, partition = %place, %offset, ?elapsed, "records wait and are not received");
    reports.emit(|group| Event::HandlerStuck {
        group,
        partition: place,
        offset: offset.to_wire(),
        route: "recv",
        elapsed,
    });
}

/// Returns the error of a consumer that ends because its records are not received.
fn stuck(place: &TopicPartition, offset: Offset, elapsed: Duration) -> Error {
    let what = format!(
        "records wait and were not received for {elapsed:?}: the consumer ends, as `on_stuck` says, and others get its partitions"
    );
    let error = Error::new(ErrorKind::Timeout, what).setting("max.poll.interval.ms");
    error.at(place).offset(offset)
}

/// The time since which nothing was received although records wait. Has no side effects.
#[derive(Debug)]
struct Idle {
    /// The time after which to report, and to report again.
    limit: Duration,
    /// The positions at the last check.
    positions: Positions,
    /// The time of the first check with these positions and waiting records. `None` while no
    /// records wait.
    since: Option<Instant>,
    /// The number of reports since then.
    told: u32,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            positions: Vec::new(),
            since: None,
            told: 0,
        }
    }

    /// Returns the time since which nothing was received, if it is to be reported now. That is so
    /// each time `limit` has passed again.
    fn after(&mut self, now: Instant, positions: Positions, waits: bool) -> Option<Duration> {
        if !waits || positions != self.positions {
            self.positions = positions;
            self.since = waits.then_some(now);
            self.told = 0;
            return None;
        }
        let elapsed = now.duration_since(*self.since.get_or_insert(now));
        let due = elapsed >= self.limit.saturating_mul(self.told.saturating_add(1));
        self.told += u32::from(due);
        due.then_some(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> Positions {
        let offset = Offset::from_wire(offset);
        vec![(TopicPartition::new("orders", 0), offset)]
    }

    #[test]
    fn whoever_receives_is_never_told_and_whoever_stopped_is_told_each_time_as_much_has_passed() {
        let limit = Duration::from_secs(300);
        let (mut idle, start) = (Idle::new(limit), Instant::now());
        let mut told = Vec::new();
        for minute in 0..40_u32 {
            // One record every four minutes, none from minute 20 on, and nothing waits from minute
            // 35 on.
            let offset = i64::from(minute.min(20) / 4);
            let now = start + Duration::from_secs(60) * minute;
            if idle.after(now, at(offset), minute < 35).is_some() {
                told.push(minute);
            }
        }
        assert_eq!(told, [25, 30]);
    }
}
