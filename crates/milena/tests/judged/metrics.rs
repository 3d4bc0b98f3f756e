//! The metrics of a client match its work.

use std::time::Duration;

use milena::broker::{Broker, BrokerBuilder};
use milena::metrics::Metrics;
use milena::middleware::{CircuitBreakerLayer, DeadLetterLayer, MetricsLayer, RetryLayer, Stack};
use milena::{Attempt, Backoff, Client, Outcome, ProcessError, ProducerRecord, Text};

/// Returns the value of the metric with this name and these labels.
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| {
        let (found, value) = line.rsplit_once(' ')?;
        (found == name).then_some(value)
    });
    line.unwrap_or_else(|| panic!("no {name} in\n{text}"))
        .parse()
        .unwrap()
}

async fn work(attempt: u32, text: &str) -> Result<Outcome, ProcessError> {
    match text {
        "broken" => Err(ProcessError::poison("no order")),
        "second" if attempt == 1 => Err(ProcessError::transient("not yet")),
        _ => Ok(Outcome::Ack),
    }
}

/// Starts a broker, and connects a client that is measured.
async fn metered(broker: BrokerBuilder) -> (Broker, Metrics, Client) {
    let broker = broker.start().await.unwrap();
    let metrics = Metrics::new();
    let client = Client::builder()
        .bootstrap(broker.bootstrap())
        .connector(broker.dialer())
        .metrics(&metrics);
    let client = client.connect().await.unwrap();
    (broker, metrics, client)
}

#[tokio::test(start_paused = true)]
async fn metrics_tell_what_a_producer_a_consumer_and_a_handler_did() {
    let broker = Broker::builder().topic("orders", 1).topic("dead", 1);
    let (broker, metrics, client) = metered(broker).await;
    let producer = client.producer().build().unwrap();
    for text in ["first", "second", "broken", "last"] {
        let record = ProducerRecord::new("orders").value(text);
        producer.send(record).await.unwrap();
    }

    let consumer = client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    let stop = consumer.shutdown_handle();
    let (done, mut last) = tokio::sync::mpsc::channel(1);
    let stack = Stack::new()
        .named("bill")
        .layer(DeadLetterLayer::new("dead", producer.clone()))
        .layer(RetryLayer::new(Backoff::default()))
        .layer(CircuitBreakerLayer::new("payments"))
        .layer(MetricsLayer::new())
        .handler(move |Attempt(attempt): Attempt, Text(text): Text| {
            let done = done.clone();
            async move {
                if text == "last" {
                    done.send(()).await.unwrap();
                    // Waits until the test has read the metrics.
                    done.closed().await;
                }
                work(attempt, &text).await
            }
        });
    let running = tokio::spawn(async move { consumer.run(stack).await });
    last.recv().await.unwrap();

    let text = metrics.text();
    let labels = "group=\"billing\",partition=\"0\",topic=\"orders\"";
    let while_running = [
        (format!("milena_consumer_lag_records{{{labels}}}"), 1.0),
        ("milena_consumer_members{group=\"billing\"}".into(), 1.0),
        ("milena_breaker_state{breaker=\"payments\"}".into(), 0.0),
        (
            "milena_gate_closed{gate=\"dead-letter:dead\",group=\"billing\"}".into(),
            0.0,
        ),
        (
            "milena_producer_buffer_limit_bytes".into(),
            64e6 * 1.048_576,
        ),
        ("milena_pool_waiting{node=\"1\"}".into(), 0.0),
    ];
    for (name, expected) in while_running {
        assert_eq!(value(&text, &name), expected, "{name}");
    }
    drop(last);
    stop.shutdown();
    let report = tokio::time::timeout(Duration::from_secs(60), running);
    let report = report.await.unwrap().unwrap().unwrap();
    assert_eq!((report.processed, report.dead_lettered), (3, 1));

    let text = metrics.text();
    let route = "route=\"bill\",topic=\"orders\"";
    let attempts = |end: &str| {
        format!(
            "milena_process_attempt_seconds_count{{group=\"billing\",outcome=\"{end}\",{route}}}"
        )
    };
    let records = |end: &str| {
        format!(
            "milena_process_record_seconds_count{{group=\"billing\",outcome=\"{end}\",{route}}}"
        )
    };
    let in_the_end = [
        (
            "milena_producer_records_total{topic=\"orders\"}".into(),
            4.0,
        ),
        ("milena_producer_records_total{topic=\"dead\"}".into(), 1.0),
        (
            "milena_consumer_records_total{group=\"billing\",topic=\"orders\"}".into(),
            4.0,
        ),
        (attempts("ack"), 3.0),
        (attempts("transient"), 1.0),
        (attempts("poison"), 1.0),
        (records("ack"), 3.0),
        (records("dead_lettered"), 1.0),
        (
            format!("milena_process_retries_total{{group=\"billing\",{route}}}"),
            1.0,
        ),
        (
            format!("milena_process_dead_letters_total{{group=\"billing\",{route}}}"),
            1.0,
        ),
        (
            "milena_consumer_rebalances_total{group=\"billing\",phase=\"assigned\"}".into(),
            1.0,
        ),
    ];
    for (name, expected) in in_the_end {
        assert_eq!(value(&text, &name), expected, "{name}");
    }
    assert!(value(&text, "milena_producer_queue_seconds_count") >= 2.0);
    client.close().await;
    drop((client, producer));
    assert!(
        !metrics.text().contains("milena_producer_buffer_bytes"),
        "a closed client's figures are gone"
    );
    broker.shutdown().await;
}

/// Three records come together, and one more after an hour. The wait for records does not count as
/// their time.
#[tokio::test(start_paused = true)]
async fn a_records_time_is_what_its_handler_took_however_long_there_was_none() {
    let broker = Broker::builder().topic("orders", 1);
    let (broker, metrics, client) = metered(broker).await;
    let producer = client.producer().build().unwrap();
    let send = async |text: &'static str| {
        let record = ProducerRecord::new("orders").value(text);
        producer.send(record).await.unwrap();
    };
    for text in ["1000", "20", "0"] {
        send(text).await;
    }
    let consumer = client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    let stop = consumer.shutdown_handle();
    let (done, mut handled) = tokio::sync::mpsc::channel(1);
    let handler = Stack::new().named("bill").handler(move |Text(text): Text| {
        let done = done.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(text.parse().unwrap())).await;
            done.send(()).await.unwrap();
        }
    });
    let running = tokio::spawn(async move { consumer.run(handler).await });
    for _ in 0..3 {
        handled.recv().await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    send("5").await;
    handled.recv().await.unwrap();
    stop.shutdown();
    let report = tokio::time::timeout(Duration::from_secs(60), running);
    report.await.unwrap().unwrap().unwrap();

    let text = metrics.text();
    let labels = "group=\"billing\",outcome=\"ack\",route=\"bill\",topic=\"orders\"";
    for what in ["record", "attempt"] {
        let of = |part: &str| format!("milena_process_{what}_seconds_{part}{{{labels}}}");
        assert_eq!(value(&text, &of("count")), 4.0);
        let sum = value(&text, &of("sum"));
        // The paused clock advances by whole milliseconds.
        assert!((1.025..1.035).contains(&sum), "{what}: {sum} s");
    }
    client.close().await;
    broker.shutdown().await;
}
