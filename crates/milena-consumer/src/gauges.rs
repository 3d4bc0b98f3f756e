//! Gauges of a consumer. They are computed when they are read.

use std::sync::{Arc, Weak};

use milena_core::{Gauge, Gauges, RecordState, Timestamp};
use milena_lanes::contained;
use tokio::time::Instant;

use crate::core::Core;
use crate::partition::Oldest;

/// The gauges of one consumer. They are empty once the consumer is gone.
struct ConsumerGauges(Weak<Core>);

impl Gauges for ConsumerGauges {
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        let Some(core) = self.0.upgrade() else { return };
        read(&core, sink);
    }
}

/// Passes all gauges of a consumer to `sink`.
pub(crate) fn read(core: &Core, sink: &mut dyn FnMut(Gauge<'_>)) {
    let now = Instant::now();
    // The clock is user code and runs on the task that reads the gauges. If it panics, the other
    // gauges must be shown nevertheless.
    let clock = contained("the consumer's clock", || core.settings.now()).ok();
    sink(Gauge::BufferUsed {
        buffer: "consumer",
        used: core.budget.used() as u64,
        limit: core.budget.limit() as u64,
        waited: None,
    });
    // A consumer that was only built has not been asked to join, so it must not show as a missing
    // member.
    let joins = core.settings.group.is_some() && core.lifecycle.runtime().is_some();
    if joins && !core.lifecycle.closing().is_cancelled() {
        let (joined, age) = core.membership.told(now);
        let generation = core.membership.borrow().as_ref().map(|m| m.generation);
        sink(Gauge::Member {
            group: core.settings.group_name(),
            generation,
            joined,
            age,
        });
    }
    let lanes = core.assignment.lanes();
    if let Some(lanes) = &lanes {
        lanes.read_gauges(core.settings.group_name(), sink);
    }
    for partition in core.assignment.partitions() {
        let figures = partition.figures(now, lanes.is_some());
        let place = partition.place();
        if let Some(records) = figures.lag {
            sink(Gauge::Lag {
                group: core.settings.group_name(),
                partition: place,
                records,
            });
            if let Some(age) = clock.and_then(|clock| figures.behind(clock)) {
                sink(Gauge::LagTime {
                    group: core.settings.group_name(),
                    partition: place,
                    age,
                });
            }
        }
        if let Some(offset) = figures.settled {
            sink(Gauge::Settled {
                group: core.settings.group_name(),
                partition: place,
                offset,
            });
        }
        sink(Gauge::LaneDepth {
            group: core.settings.group_name(),
            partition: place,
            records: figures.unsettled as u64,
        });
        if let Some(oldest) = &figures.oldest {
            let lane = oldest.lane.map(|lane| lane.route);
            let route = lane.zip(lanes.as_ref());
            let route = route.map(|(route, lanes)| lanes.route_name(route));
            sink(Gauge::OldestUnsettled {
                group: core.settings.group_name(),
                partition: place,
                offset: oldest.offset,
                age: oldest.age,
                state: state(
                    oldest,
                    route.as_deref().unwrap_or_default(),
                    clock.unwrap_or_else(Timestamp::now),
                ),
            });
        }
        if let Some((next, age)) = figures.undelivered {
            sink(Gauge::Undelivered {
                group: core.settings.group_name(),
                partition: place,
                age,
                next,
            });
        }
        if let Some((error, age)) = &figures.trouble {
            sink(Gauge::FetchTrouble {
                group: core.settings.group_name(),
                partition: place,
                age: *age,
                error,
            });
        }
        for by in &figures.pauses {
            sink(Gauge::Paused {
                group: core.settings.group_name(),
                partition: place,
                by,
            });
        }
    }
}

/// Returns what the oldest unsettled record waits for.
fn state<'a>(oldest: &Oldest, route: &'a str, clock: Timestamp) -> RecordState<'a> {
    match oldest.lane {
        Some(lane) => lane.record_state(route, oldest.busy, clock),
        None => RecordState::Queued { busy: oldest.busy },
    }
}

/// Returns the gauges of a consumer for a registry. They do not keep the consumer alive.
pub(crate) fn of(core: Weak<Core>) -> Arc<dyn Gauges> {
    Arc::new(ConsumerGauges(core))
}
