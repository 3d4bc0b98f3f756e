//! A client makes producers, consumers and administrators for one cluster, and closes them in the
//! right order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use milena_broker::{ApiKey, Broker, Fault};
use milena_client::Client;
use milena_client::middleware::{CircuitBreakerLayer, RetryLayer, Stack};
use milena_core::{
    Attempt, Backoff, ErrorKind, Event, Observer, Offset, Outcome, ProcessError, ProducerRecord,
    Text, TopicPartition,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

async fn client(broker: &Broker) -> Client {
    let builder = Client::builder()
        .bootstrap(broker.bootstrap())
        .connector(broker.dialer());
    builder.connect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn addresses_are_taken_as_one_text_or_as_a_list() {
    let broker = Broker::builder().brokers(2).start().await.unwrap();
    let all = broker.bootstrap();
    let text = format!(" {},, {} ", all[0], all[1]);
    let builders = [
        Client::builder().bootstrap(all[0].as_str()),
        Client::builder()
            .bootstrap(text.as_str())
            .bootstrap([&*all[0]]),
        Client::builder().bootstrap(&all[..]),
    ];
    for builder in builders {
        let client = builder.connector(broker.dialer()).connect().await.unwrap();
        assert_eq!(client.cluster().metadata().brokers().count(), 2);
        client.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_administrator_keeps_to_the_api_timeout_of_its_client() {
    let broker = Broker::builder().start().await.unwrap();
    let builder = Client::builder()
        .bootstrap(broker.bootstrap())
        .connector(broker.dialer());
    let builder = builder.api_timeout(Duration::from_secs(2));
    let client = builder.connect().await.unwrap();
    let silence = Fault::silence().on(ApiKey::DescribeCluster).always();
    broker.faults().add(silence);
    let asked = Instant::now();
    let error = client.admin().describe_cluster().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(asked.elapsed() < Duration::from_secs(4), "{error}");
    let asked = Instant::now();
    let patient = client.admin().timeout(Duration::from_secs(9));
    patient.describe_cluster().await.unwrap_err();
    assert!(asked.elapsed() >= Duration::from_secs(9), "its own is used");
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_producer_keeps_to_the_request_timeout_and_the_backoff_of_its_client() {
    let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
    let builder = Client::builder()
        .bootstrap(broker.bootstrap())
        .connector(broker.dialer());
    let slow = Backoff::new(Duration::from_secs(8), Duration::from_secs(8)).jitter(0.0);
    let builder = builder
        .request_timeout(Duration::from_secs(2))
        .backoff(slow);
    let client = builder.connect().await.unwrap();
    let send = |producer: milena_client::producer::Producer| async move {
        let asked = Instant::now();
        let record = ProducerRecord::new("orders").value("x");
        producer.send(record).await.unwrap();
        asked.elapsed().as_secs()
    };
    broker.faults().add(Fault::silence().on(ApiKey::Produce));
    let took = send(client.producer().build().unwrap()).await;
    assert!((10..15).contains(&took), "{took} s");
    broker.faults().add(Fault::silence().on(ApiKey::Produce));
    let own = client.producer().request_timeout(Duration::from_secs(20));
    let took = send(own.build().unwrap()).await;
    assert!(took >= 28, "{took} s: its own is used");
    client.close().await;
}

#[test]
fn a_client_that_outlives_its_runtime_works_on_another() {
    use tokio::runtime::Runtime;
    let keep = Runtime::new().unwrap();
    let broker = Broker::builder().listen("127.0.0.1:0").topic("orders", 1);
    let broker = keep.block_on(broker.start()).unwrap();
    let first = Runtime::new().unwrap();
    let (client, orphan) = first.block_on(async {
        let connecting = Client::builder().bootstrap(broker.bootstrap()).connect();
        let client = connecting.await.unwrap();
        let producer = client.producer().build().unwrap();
        let record = ProducerRecord::new("orders").value("first");
        producer.send(record).await.unwrap();
        client.admin().list_topics().await.unwrap();
        (client, producer)
    });
    drop(first);
    let second = Runtime::new().unwrap();
    let work = async {
        client.admin().list_topics().await.unwrap();
        let record = || ProducerRecord::new("orders").value("second");
        orphan.send(record()).await.unwrap_err();
        let producer = client.producer().build().unwrap();
        producer.send(record()).await.unwrap();
        let consumer = client.consumer("billing").topics(["orders"]);
        let consumer = consumer.auto_offset_reset(milena_client::consumer::OffsetReset::Earliest);
        let consumer = consumer.build().unwrap();
        for expected in ["first", "second"] {
            let record = consumer.recv().await.unwrap();
            assert_eq!(record.value.as_deref(), Some(expected.as_bytes()));
        }
        client.close().await;
    };
    // Only a failing test waits this long.
    let bounded = async { tokio::time::timeout(Duration::from_secs(25), work).await };
    second.block_on(bounded).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_without_an_address_is_refused() {
    for builder in [Client::builder(), Client::builder().bootstrap(" , ")] {
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("bootstrap.servers"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn closing_delivers_what_was_enqueued() {
    let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
    let client = client(&broker).await;
    let slow = Fault::delay(Duration::from_secs(3)).on(ApiKey::Produce);
    broker.faults().add(slow);
    let (kept, dropped) = (
        client.producer().build().unwrap(),
        client.producer().build().unwrap(),
    );
    let mut deliveries = Vec::new();
    for n in 0..100 {
        let record = ProducerRecord::new("orders").value(format!("{n}"));
        deliveries.push(kept.enqueue(record.clone()).await.unwrap());
        deliveries.push(dropped.enqueue(record).await.unwrap());
    }
    drop(dropped);
    client.close().await;
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(200));
    let error = kept
        .send(ProducerRecord::new("orders").value("late"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn closing_lets_handlers_end_and_write_and_commits_their_offsets() {
    let broker = Broker::builder()
        .topic("orders", 1)
        .topic("bills", 1)
        .start()
        .await
        .unwrap();
    let client = client(&broker).await;
    let producer = client.producer().build().unwrap();
    producer
        .send(ProducerRecord::new("orders").value("stamps"))
        .await
        .unwrap();
    let consumer = client
        .consumer("billing")
        .topics(["orders"])
        .build()
        .unwrap();
    let (begun, mut beginning) = mpsc::channel(1);
    let running = tokio::spawn(async move {
        let handler = move |Text(order): Text| {
            let (begun, producer) = (begun.clone(), producer.clone());
            async move {
                begun.send(()).await.unwrap();
                tokio::time::sleep(Duration::from_secs(5)).await;
                producer
                    .send(ProducerRecord::new("bills").value(order))
                    .await
                    .unwrap();
                Outcome::Ack
            }
        };
        consumer.run(handler).await
    });
    beginning.recv().await.unwrap();
    client.close().await;
    let report = running.await.unwrap().unwrap();
    assert_eq!(report.processed, 1);
    assert_eq!(
        report.committed[&TopicPartition::new("orders", 0)],
        Offset::from_wire(1).unwrap()
    );
    assert_eq!(broker.inspect().end_offset("bills", 0), Some(1));
    assert_eq!(
        broker.inspect().committed("billing", "orders", 0),
        Offset::from_wire(1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_in_good_order_when_it_is_told_to() {
    let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
    let client = client(&broker).await;
    let consumer = client
        .consumer("billing")
        .topics(["orders"])
        .build()
        .unwrap();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(async move { consumer.run_until(async || (), ended).await });
    tokio::task::yield_now().await;
    end.send(()).unwrap();
    let report = running.await.unwrap().unwrap();
    assert_eq!(report.end, milena_client::consumer::RunEnd::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn two_members_on_one_client_do_not_wait_behind_each_others_parked_requests() {
    let broker = Broker::builder().topic("orders", 4).start().await.unwrap();
    let client = client(&broker).await;
    let member = || {
        let consumer = client
            .consumer("billing")
            .topics(["orders"])
            .build()
            .unwrap();
        let consumer = Arc::new(consumer);
        let running = Arc::clone(&consumer);
        tokio::spawn(async move { running.run(async || ()).await });
        consumer
    };
    let started = Instant::now();
    let first = member();
    while first.assignment().len() < 4 {
        tokio::time::advance(Duration::from_millis(50)).await;
    }
    let second = member();
    while (first.assignment().len(), second.assignment().len()) != (2, 2) {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{first:?} {second:?}"
        );
        tokio::time::advance(Duration::from_millis(50)).await;
    }
    client.close().await;
}

/// Keeps the pauses of partitions with their gates, and the resumptions, in order.
#[derive(Default)]
struct Pauses(Mutex<Vec<String>>);

impl Observer for Pauses {
    fn on(&self, event: &Event<'_>) {
        match event {
            Event::Paused { partition, by, .. } => {
                self.0.lock().unwrap().push(format!("{partition} by {by}"));
            }
            Event::Resumed { partition, .. } => {
                self.0.lock().unwrap().push(format!("{partition} on"));
            }
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_pauses_its_partitions_by_name_and_fetching_goes_on_after_it() {
    let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
    let pauses = Arc::new(Pauses::default());
    let builder = Client::builder()
        .bootstrap(broker.bootstrap())
        .connector(broker.dialer());
    let client = builder
        .add_observer(pauses.clone())
        .connect()
        .await
        .unwrap();
    let layer = CircuitBreakerLayer::new("payments")
        .consecutive(1)
        .open_for(Duration::from_secs(30));
    let breaker = layer.breaker();
    let stack = Stack::new()
        .layer(RetryLayer::new(Backoff::default()))
        .layer(layer)
        .handler(async |Attempt(attempt): Attempt| match attempt {
            1 => Err(ProcessError::dependency("payments", "refused")),
            _ => Ok(()),
        });
    let consumer = client
        .consumer("billing")
        .topics(["orders"])
        .build()
        .unwrap();
    let stop = consumer.shutdown_handle();
    let running = tokio::spawn(async move { consumer.run(stack).await });
    let producer = client.producer().build().unwrap();
    producer
        .send(ProducerRecord::new("orders").value("x"))
        .await
        .unwrap();
    let mut gate = breaker.gate().watch();
    let limit = Duration::from_secs(120);
    tokio::time::timeout(limit, gate.changed()).await.unwrap();
    assert!(!breaker.gate().is_open());
    let fetches = || broker.journal().requests(ApiKey::Fetch).len();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = fetches();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(
        fetches(),
        before,
        "nothing is fetched for a dependency that is down"
    );
    tokio::time::timeout(limit, gate.changed()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    stop.shutdown();
    assert_eq!(running.await.unwrap().unwrap().processed, 1);
    let seen = pauses.0.lock().unwrap().clone();
    assert_eq!(seen, ["orders-0 by breaker:payments", "orders-0 on"]);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_dies_in_mid_send_costs_neither_a_record_nor_a_second_copy() {
    let broker = Broker::builder()
        .brokers(3)
        .replication_factor(3)
        .topic("orders", 1);
    let broker = broker.start().await.unwrap();
    let client = client(&broker).await;
    let producer = client.producer().build().unwrap();
    let record = |n: usize| ProducerRecord::new("orders").value(n.to_string());
    producer.send(record(0)).await.unwrap();
    let leader = broker.inspect().leader("orders", 0).unwrap().0;
    // The leader writes the batch, stops before it answers, and comes back later.
    broker.faults().add(
        Fault::apply_then_disconnect()
            .on(ApiKey::Produce)
            .node(leader),
    );
    broker.faults().add(
        Fault::broker_down(leader)
            .on(ApiKey::Produce)
            .node(leader)
            .nth(1),
    );
    let mut deliveries = Vec::new();
    for n in 1..500 {
        deliveries.push(producer.enqueue(record(n)).await.unwrap());
        if n % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    broker.inspect().broker_up(leader);
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    let records = broker.inspect().records("orders", 0).unwrap();
    let values: Vec<usize> = records
        .iter()
        .map(|record| {
            std::str::from_utf8(record.value.as_deref().unwrap())
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    assert_eq!(values, (0..500).collect::<Vec<_>>());
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn with_manual_commits_nothing_is_committed_by_itself() {
    let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
    let client = client(&broker).await;
    let producer = client.producer().build().unwrap();
    let consumer = client
        .consumer("billing")
        .topics(["orders"])
        .manual_commit()
        .build()
        .unwrap();
    let (done, mut handled) = mpsc::channel(1);
    let stop = consumer.shutdown_handle();
    let driving = async {
        for value in ["first", "second"] {
            let record = ProducerRecord::new("orders").value(value);
            producer.send(record).await.unwrap();
            handled.recv().await.unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
            let committed = broker.inspect().committed("billing", "orders", 0);
            match value {
                "first" => {
                    assert_eq!(committed, None);
                    consumer.commit().await.unwrap();
                }
                _ => stop.shutdown(),
            }
        }
    };
    let handler = move |_: Text| {
        let done = done.clone();
        async move { done.send(()).await.unwrap() }
    };
    let (report, ()) = tokio::join!(consumer.run(handler), driving);
    assert_eq!(report.unwrap().processed, 2);
    client.close().await;
    let committed = broker.inspect().committed("billing", "orders", 0);
    assert_eq!(committed, Some(Offset::from(1)));
}
