//! An observer that panics does not keep records from having their outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use milena_broker::Broker;
use milena_core::Event;
use tokio::time::timeout;

use crate::bed::{connect, record};

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_at_any_event_keeps_no_record_from_being_delivered() {
    for nth in 0..12 {
        let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
        let dialer = broker.dialer();
        let count = AtomicUsize::new(0);
        let observer = move |event: &Event<'_>| {
            if count.fetch_add(1, Ordering::Relaxed) >= nth {
                panic!("an observer does not like {event:?}");
            }
        };
        let observer = Arc::new(observer);
        let bed = connect(broker, dialer, |cluster| cluster.add_observer(observer)).await;
        let producer = bed.producer();
        for number in 0..5 {
            let sent = producer.send(record(&number.to_string()));
            timeout(Duration::from_secs(5), sent)
                .await
                .unwrap()
                .unwrap();
        }
        producer.close(Duration::from_secs(5)).await.unwrap();
        assert_eq!(bed.values(0).len(), 5);
    }
}
