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
        let now = Instant::now();
        sink(Gauge::BufferUsed {
            buffer: "consumer",
            used: core.budget.used() as u64,
            limit: core.budget.limit() as u64,
        });
        for partition in core.partitions() {
            let figures = partition.figures(now);
            let place = partition.place();
            if let Some(records) = figures.lag {
                sink(Gauge::Lag {
                    group: core.settings.group_name(),
                    partition: place,
                    records,
                });
            }
            sink(Gauge::LaneDepth {
                partition: place,
                records: figures.unsettled as u64,
            });
            if let Some(age) = figures.oldest {
                sink(Gauge::OldestUnsettled {
                    partition: place,
                    age,
                });
            }
            for by in &figures.pauses {
                sink(Gauge::Paused {
                    partition: place,
                    by,
                });
            }
        }
    }
}

/// The gauges of a consumer, for a registry to hold.
pub(crate) fn gauges(core: &Arc<Core>) -> Arc<dyn Gauges> {
    Arc::new(ConsumerGauges(Arc::downgrade(core)))
}
