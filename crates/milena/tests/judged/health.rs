//! The health page while brokers stop and start and a program shuts down.

use std::time::Duration;

use milena::broker::Broker;
use milena::health::{Health, HttpServer, Phase, Report, State};
use milena::middleware::{DeadLetterLayer, Stack};
use milena::{Client, ProcessError, ProducerRecord, Text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(60);

/// Reads the report until it is as wanted. The paused clock passes the time.
async fn until(health: &Health, what: &str, wanted: impl Fn(&Report) -> bool) -> Report {
    let looking = async {
        loop {
            let report = health.report();
            if wanted(&report) {
                return report;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let found = timeout(Duration::from_secs(600), looking).await;
    found.unwrap_or_else(|_| panic!("never {what}: {:#?}", health.report()))
}

fn state(report: &Report, check: &str) -> State {
    report.check(check).map_or(State::Ok, |check| check.state)
}

#[tokio::test(start_paused = true)]
async fn health_turns_degraded_and_back_as_a_broker_stops_and_starts() {
    let broker = Broker::builder().brokers(3).topic("orders", 3);
    let broker = broker.start().await.unwrap();
    let health = Health::new();
    let client = Client::builder()
        .bootstrap(broker.bootstrap())
        .connector(broker.dialer())
        .health(&health);
    let client = client.connect().await.unwrap();
    let report = until(&health, "well", |report| report.ready).await;
    assert_eq!(report.state, State::Ok, "{report:?}");

    broker.inspect().broker_down(3);
    let report = until(&health, "degraded", |report| {
        report.state == State::Degraded
    })
    .await;
    let reason = &report.check("brokers").unwrap().reason;
    assert!(
        reason.starts_with("1 of 3 do not answer: broker 3"),
        "{reason}"
    );
    assert!(report.ready && report.live);

    broker.inspect().broker_up(3);
    until(&health, "well again", |report| report.state == State::Ok).await;

    for node in 1..=3 {
        broker.inspect().broker_down(node);
    }
    let report = until(&health, "failing", |report| report.state == State::Failing).await;
    assert!(report.live && !report.ready);
    for node in 1..=3 {
        broker.inspect().broker_up(node);
    }
    until(&health, "well at last", |report| report.state == State::Ok).await;
    client.close().await;
    broker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn health_is_red_while_a_dead_letter_cannot_be_written() {
    let broker = Broker::builder().topic("orders", 1).topic("dead", 1);
    let broker = broker.start().await.unwrap();
    let health = Health::new();
    let client = Client::builder()
        .bootstrap(broker.bootstrap())
        .connector(broker.dialer())
        .api_timeout(Duration::from_secs(2))
        .health(&health);
    let client = client.connect().await.unwrap();
    let producer = client.producer().max_block(Duration::from_secs(2));
    let producer = producer.build().unwrap();
    let consumer = client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("dead", producer.clone()))
        .handler(async |_: Text| Err::<(), _>(ProcessError::poison("no order")));
    let running = tokio::spawn(async move { consumer.run(stack).await });
    // The topic exists when the run begins, and is deleted afterwards.
    until(&health, "run", |report| report.check("group").is_some()).await;
    assert!(broker.inspect().delete_topic("dead"));
    let record = ProducerRecord::new("orders").value("broken");
    producer.send(record).await.unwrap();
    let report = until(&health, "red", |report| {
        state(report, "dead_letters") == State::Failing
    })
    .await;
    assert!(!report.ready && report.live);

    let topic = milena::admin::NewTopic::new("dead").partitions(1);
    client
        .admin()
        .create_topics([topic])
        .await
        .unwrap()
        .all()
        .unwrap();
    until(&health, "well again", |report| report.state == State::Ok).await;
    let report = health.report();
    assert!(report.started && report.ready);
    assert_eq!(state(&report, "group"), State::Ok);

    client.close().await;
    assert!(!health.report().ready && health.report().live);
    running.await.unwrap().unwrap();
    broker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_health_of_two_clients_is_stopping_once_both_are_closed() {
    let broker = Broker::builder().topic("orders", 1);
    let broker = broker.start().await.unwrap();
    let health = Health::new();
    let connect = async || {
        let client = Client::builder()
            .bootstrap(broker.bootstrap())
            .connector(broker.dialer())
            .health(&health);
        client.connect().await.unwrap()
    };
    let (first, second) = (connect().await, connect().await);
    until(&health, "well", |report| report.ready).await;
    first.close().await;
    first.clone().close().await;
    let report = health.report();
    assert!(report.ready && report.phase == Phase::Running, "{report:?}");
    assert_eq!(report.state, State::Ok, "{report:?}");
    second.close().await;
    let report = health.report();
    assert!(
        report.live && !report.ready && report.phase == Phase::Stopping,
        "{report:?}"
    );

    let third = connect().await;
    until(&health, "well again", |report| report.ready).await;
    drop(connect().await);
    third.close().await;
    assert_eq!(health.report().phase, Phase::Stopping, "nobody is left");
    broker.shutdown().await;
}

async fn status(server: &HttpServer, path: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    timeout(DEADLINE, reading).await.unwrap().unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn the_page_answers_from_before_the_start_until_after_the_end() {
    let health = Health::new();
    let server = health.http().listen("127.0.0.1:0".parse().unwrap());
    let server = server.serve().await.unwrap();
    assert_eq!(status(&server, "/health/startup").await, "503");
    assert_eq!(status(&server, "/health/live").await, "200");

    let broker = Broker::builder().listen("127.0.0.1:0");
    let broker = broker.start().await.unwrap();
    let client = Client::builder()
        .bootstrap(broker.bootstrap())
        .health(&health);
    let client = client.connect().await.unwrap();
    for path in [
        "/health",
        "/health/live",
        "/health/ready",
        "/health/startup",
    ] {
        assert_eq!(status(&server, path).await, "200", "{path}");
    }
    client.close().await;
    assert_eq!(status(&server, "/health/live").await, "200");
    assert_eq!(status(&server, "/health/ready").await, "503");
    server.shutdown().await;
    broker.shutdown().await;
}
