//! Ends of runs, asked for or not.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Capabilities, Capability, ErrorKind, FromRecord, Incoming, Order, ProcessError, ProducerRecord,
    Recorder, RouteLabels, RouteRecorder, TopicPartition,
};
use milena_lanes::{InMemory, run};
use tokio::time::{Instant, sleep};

use milena_middleware::{On, Router, Stack};

use crate::bed::{Notes, observed, orders, rules};

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_handlers_finish_and_begins_no_other_record() {
    let source = orders(rules(Order::Partition), ["one", "two"]);
    let stop = source.shutdown_handle();
    let handler = move || {
        stop.shutdown();
        sleep(Duration::from_secs(5))
    };
    let report = run(&source, handler).await.unwrap();
    assert_eq!((report.processed, report.late), (1, 0));
    let place = TopicPartition::new("orders", 0_u32);
    assert_eq!(source.committable(&place), Some(1_u32.into()));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_finish_in_the_drain_time_is_cut_off() {
    let notes = Notes::default();
    let source = orders(rules(Order::Partition), ["one"]).drain_timeout(Duration::from_secs(3));
    let (stop, began, writer) = (source.shutdown_handle(), Instant::now(), notes.clone());
    let handler = move |incoming: Whole| {
        let (stop, notes) = (stop.clone(), writer.clone());
        async move {
            stop.shutdown();
            incoming.0.stopping.cancelled().await;
            notes.add("asked to stop");
            sleep(Duration::from_secs(3_600)).await;
            notes.add("never");
        }
    };
    let report = run(&source, handler).await.unwrap();
    assert_eq!(report.processed, 0);
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(notes.all(), ["asked to stop"]);
    let place = TopicPartition::new("orders", 0_u32);
    assert_eq!(source.committable(&place), Some(0_u32.into()));
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_at_once() {
    let source = orders(rules(Order::Unordered(3)), ["one", "two", "three"]);
    let (stop, began) = (source.shutdown_handle(), Instant::now());
    let signals = async {
        sleep(Duration::from_secs(1)).await;
        stop.signal();
        sleep(Duration::from_secs(1)).await;
        stop.signal();
    };
    let handler = || sleep(Duration::from_secs(3_600));
    let (report, ()) = tokio::join!(run(&source, handler), signals);
    assert_eq!(report.unwrap().processed, 0);
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_until_the_last_sender_is_gone() {
    let source = InMemory::new(rules(Order::Key(4)));
    let (sender, began) = (source.sender(), Instant::now());
    let other = sender.clone();
    let sending = async move {
        for number in 0..5_000_u32 {
            let record = ProducerRecord::new("orders").key(number.to_string());
            sender.send(record.partition(number % 3)).await;
        }
        drop(sender);
        sleep(Duration::from_secs(9)).await;
        other.send(ProducerRecord::new("bills")).await;
    };
    let (report, ()) = tokio::join!(run(&source, || async {}), sending);
    assert_eq!(report.unwrap().processed, 5_001);
    assert_eq!(began.elapsed().as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_recorder_in_any_lane_ends_the_run_with_its_name() {
    struct Full;
    impl Recorder for Full {
        fn route(&self, _: &RouteLabels) -> Arc<dyn RouteRecorder> {
            panic!("the disk is full");
        }
    }
    for order in [Order::Partition, Order::Key(2), Order::Unordered(2)] {
        let notes = Notes::default();
        let mut rules = observed(rules(order), &notes);
        rules.recorder = Some(Arc::new(Full));
        let source = orders(rules, ["one"]);
        let error = run(&source, || async {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked, "{order}");
        assert!(error.message().contains("the recorder panicked"), "{error}");
        let notes = notes.all();
        assert!(notes[0].starts_with("stopped in handler: "), "{notes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_stops_without_a_record_names_the_routes_of_its_topic() {
    let notes = Notes::default();
    let source = orders(observed(rules(Order::Partition), &notes), ["one"]);
    let named = |name: &str| Stack::new().named(name).handler(async || {});
    let careless = On::topic("orders").when("is large", |_| panic!("no rules"));
    let routes = Router::new()
        .route(careless, named("billing"))
        .route("orders", named("shipping"))
        .route("bills", named("books"))
        .fallback(named("archive"));
    run(&source, routes).await.unwrap_err();
    let notes = notes.all();
    let text = "stopped in billing, shipping, archive: a condition of the routes panicked";
    assert!(notes[0].starts_with(text), "{notes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_run_ends_its_handlers() {
    let notes = Notes::default();
    let source = orders(rules(Order::Partition), ["one"]);
    let writer = notes.clone();
    let handler = move |incoming: Whole| {
        let notes = writer.clone();
        async move {
            let _dropped = Dropped(notes);
            incoming.0.cancel.cancelled().await;
            sleep(Duration::from_secs(3_600)).await;
        }
    };
    let cut = tokio::time::timeout(Duration::from_secs(1), run(&source, handler)).await;
    assert!(cut.is_err());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(notes.all(), ["dropped"]);
    let again = run(&source, || async {}).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::State);
}

#[tokio::test]
async fn a_source_that_cannot_do_what_a_run_needs_is_refused_before_the_first_record() {
    let can = Capabilities::all().without(Capability::OrderByPartition);
    let source = InMemory::limited(rules(Order::Partition), can);
    let error = run(&source, || async {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(
        error.message(),
        "the source in memory cannot keep the order of a partition, which the order `partition` needs: \
         set the order to `unordered`, or read from a source that keeps it"
    );
    let source = InMemory::limited(rules(Order::Unordered(2)), can);
    let source = source.with([ProducerRecord::new("orders")]);
    assert_eq!(run(&source, || async {}).await.unwrap().processed, 1);
}

/// The whole record with its tokens, as an argument of a handler.
struct Whole(Incoming);

impl<S: Sync> FromRecord<S> for Whole {
    async fn from_record(incoming: &Incoming, _: &S) -> Result<Self, ProcessError> {
        Ok(Self(incoming.clone()))
    }
}

/// Notes its drop.
struct Dropped(Notes);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add("dropped");
    }
}
