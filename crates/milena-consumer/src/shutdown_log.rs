//! Log lines of a shutdown. They say that it began, what it waits for, and how it ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::assignment::Assignment;

/// The log of one shutdown. It stays silent for a consumer that never started or was closed before.
pub(crate) struct ShutdownLog<'a> {
    /// The partitions whose handlers are waited for.
    assignment: &'a Assignment,
    /// The name of the group. Empty without a group.
    group: &'a str,
    /// The time at which the shutdown began.
    began: Instant,
    /// True if nothing is to be logged.
    quiet: bool,
}

impl<'a> ShutdownLog<'a> {
    /// Logs that the consumer begins to shut down. `told` is set, and later calls with it stay
    /// silent.
    pub(crate) fn begin(
        assignment: &'a Assignment,
        group: &'a str,
        started: bool,
        told: &AtomicBool,
    ) -> Self {
        let quiet = !started || told.swap(true, Ordering::Relaxed);
        let log = Self {
            assignment,
            group,
            began: Instant::now(),
            quiet,
        };
        if !quiet {
            let handlers = log.unsettled();
            tracing::info!(
                group,
                handlers = handlers.join(", "),
                "the consumer shuts down: handlers end, offsets are committed, the group is left"
            );
        }
        log
    }

    /// Logs every five seconds which records handlers still have. Never resolves.
    pub(crate) async fn tell_what_is_waited_for(&self) {
        loop {
            sleep(EVERY).await;
            let handlers = self.unsettled();
            if self.quiet || handlers.is_empty() {
                continue;
            }
            tracing::warn!(
                group = self.group,
                handlers = handlers.join(", "),
                seconds = self.began.elapsed().as_secs(),
                "the consumer waits for handlers to end"
            );
        }
    }

    /// Logs that the consumer shut down gracefully.
    pub(crate) fn done(&self) {
        if !self.quiet {
            let group = self.group;
            tracing::info!(group, "the consumer has ended: drained, committed and left");
        }
    }

    /// Logs that the shutdown timeout passed.
    pub(crate) fn cut_off(&self) {
        tracing::warn!(
            group = self.group,
            handlers = self.unsettled().join(", "),
            "the consumer did not end within the shutdown timeout and is cut off: what was not committed is read again"
        );
    }

    /// Logs that the consumer ends at once, since the program asked for that.
    pub(crate) fn at_once(&self) {
        tracing::warn!(
            group = self.group,
            handlers = self.unsettled().join(", "),
            "the consumer ends at once: what was not committed is read again"
        );
    }

    /// Returns a text for each partition whose records are with handlers. It has their number and
    /// the age of the oldest.
    fn unsettled(&self) -> Vec<String> {
        let now = Instant::now();
        let partitions = self.assignment.partitions().into_iter();
        let told = partitions.filter_map(|partition| {
            let figures = partition.figures(now, self.assignment.is_processing());
            let oldest = figures.oldest?;
            let (offset, age) = (oldest.offset, oldest.age);
            let (place, count) = (partition.place(), figures.unsettled);
            let held = match figures.pauses.is_empty() {
                true => String::new(),
                false => format!(", held by {}", figures.pauses.join(" and ")),
            };
            let age = age.as_secs();
            Some(format!(
                "{place}: {count} records, the oldest at offset {offset} for {age} s{held}"
            ))
        });
        told.collect()
    }
}

/// The time between two lines about handlers. Short enough to be seen before an orchestrator kills
/// the process, and long enough to be readable.
const EVERY: Duration = Duration::from_secs(5);
