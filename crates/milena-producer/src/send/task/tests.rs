//! The times at which the send task looks at a partition.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{HeadersRef, NodeId};
use tokio::sync::mpsc;

use super::*;
use crate::Acks;
use crate::enqueue::bell::Bell;
use crate::enqueue::draft::RecordDraft;
use crate::enqueue::memory::{Budget, Buffers};
use crate::enqueue::shared::Shared;
use crate::enqueue::tick::Tick;
use crate::enqueue::topic::{Route, Topics};
use crate::network::{LinkId, Network};
use crate::settings::SettingsDraft;
use crate::tests::stub::Stub;

const LINGER: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn partitions_that_linger_are_not_looked_at_before_they_are_due() {
    let stub = Stub::new(100);
    let mut draft = SettingsDraft {
        acks: Some(Acks::Leader),
        ..SettingsDraft::default()
    };
    draft.batching.interval = Some(LINGER);
    let settings = Arc::new(draft.check().unwrap());
    let shared = Arc::new(Shared {
        budget: Budget::new(64 << 20),
        buffers: Buffers::new(16 << 10, 512 << 10, 64 << 20),
        bell: Bell::default(),
        clock: settings.clock.clone(),
        tick: Tick::default(),
    });
    let topics = Arc::new(Topics::new(settings.flows.clone()));
    let orders = topics.get(&"orders".into());
    orders.take(&stub.shape("orders").unwrap(), topics.registry());
    let (_commands, received) = mpsc::channel(1);
    let mut task = SendTask::new(shared.clone(), topics, settings, stub.clone(), received);
    let link = LinkId::first(NodeId::from_wire(1).unwrap());
    for number in 0..100 {
        let chosen = orders.find(Route::Named(number)).unwrap();
        let record = RecordDraft::new(None, Some(b"v"), HeadersRef::empty(), None);
        let placed = chosen.partition.place(&record, &shared, &mut None, false);
        placed.unwrap();
    }
    let start = Instant::now();
    task.batches.take_news();
    // The link is dialed.
    task.pump(start);
    task.take(Done::Dialed(link, stub.connect(link).await));
    assert_eq!(task.pump(start), Some(start + LINGER));
    let waits = |task: &SendTask| task.batches.outlets().waits(link);
    assert_eq!(waits(&task), (0, 100));
    let later = start + LINGER / 2;
    assert_eq!(task.pump(later), Some(start + LINGER));
    assert_eq!(waits(&task), (0, 100));
    task.pump(start + LINGER);
    assert_eq!(waits(&task).1, 0);
    assert!(stub.state.lock().requests > 0);
}
