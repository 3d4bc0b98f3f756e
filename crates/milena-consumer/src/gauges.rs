//! A consumer's figures, read when someone looks.

use std::sync::{Arc, Weak};

use milena_core::{Gauge, Gauges};
use tokio::time::Instant;

use crate::core::Core;

/// The figures of one consumer; shows nothing once it is gone.
pub(crate) struct ConsumerGauges(pub(crate) Weak<Core>);

impl Gauges for ConsumerGauges {
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        let Some(core) = self.0.upgrade() else { return };
        read(&core, sink);
    }
}

/// Shows all figures of a consumer.
pub(crate) fn read(core: &Core, sink: &mut dyn FnMut(Gauge<'_>)) {
    let now = Instant::now();
    let clock = (core.settings.clock)();
    sink(Gauge::BufferUsed {
        buffer: "consumer",
        used: core.budget.used() as u64,
        limit: core.budget.limit() as u64,
    });
    // A consumer that was only built is no member that is missing: nobody has asked it to join.
    let joins = core.settings.group.is_some() && core.runtime().is_some();
    if joins && !core.closing.is_cancelled() {
        let generation = core.membership.borrow().as_ref().map(|m| m.generation);
        sink(Gauge::Member {
            group: core.settings.group_name(),
            generation,
        });
    }
    if let Some(lanes) = core.lanes() {
        lanes.read_gauges(sink);
    }
    for partition in core.partitions() {
        let figures = partition.figures(now);
        let place = partition.place();
        if let Some(records) = figures.lag {
            sink(Gauge::Lag {
                group: core.settings.group_name(),
                partition: place,
                records,
            });
            if let Some(age) = figures.behind(clock) {
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
        if let Some((offset, age)) = figures.oldest {
            sink(Gauge::OldestUnsettled {
                group: core.settings.group_name(),
                partition: place,
                offset,
                age,
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

/// The gauges of a consumer, for a registry to hold.
pub(crate) fn gauges(core: &Arc<Core>) -> Arc<dyn Gauges> {
    Arc::new(ConsumerGauges(Arc::downgrade(core)))
}
