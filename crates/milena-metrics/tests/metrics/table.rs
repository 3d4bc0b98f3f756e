//! The table in the crate's documentation, checked against a registry after every event has
//! happened once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Address, BreakerPhase, ConsumerEnd, Error, ErrorClass, ErrorCode, ErrorKind, Event, Gauge,
    Gauges, NodeId, Observer, Offset, RebalancePhase, RecordState, Recorder, RouteLabels,
    TopicPartition,
};
use milena_metrics::Metrics;
use prometheus::Registry;
use prometheus::proto::MetricType;

const SOME_TIME: Duration = Duration::from_millis(2);

fn node() -> Option<NodeId> {
    NodeId::from_wire(1)
}

fn everything(metrics: &Metrics) {
    let address: Address = "kafka-1:9092".parse().unwrap();
    let place = TopicPartition::new("orders", 0);
    let partition = &place;
    let error = &Error::broker(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let (node, address, elapsed) = (node(), &address, SOME_TIME);
    let group = "billing";
    let events = [
        Event::Connected {
            node,
            address,
            elapsed,
        },
        Event::ConnectFailed {
            node,
            address,
            error,
        },
        Event::Disconnected {
            node,
            address,
            error: Some(error),
        },
        Event::Request {
            node,
            api: "Fetch",
            version: 12,
            elapsed,
            sent: 100,
            received: 200,
            error: None,
        },
        Event::Request {
            node,
            api: "Fetch",
            version: 12,
            elapsed,
            sent: 100,
            received: 0,
            error: Some(error),
        },
        Event::Throttled {
            node,
            api: "Fetch",
            wait: elapsed,
        },
        Event::MetadataRefreshed {
            brokers: 1,
            topics: 1,
            elapsed,
        },
        Event::Rebootstrap { error },
        Event::BatchDelivered {
            partition,
            records: 3,
            bytes: 300,
            plain: 600,
            limit: 1_000,
            queued: elapsed,
            elapsed,
        },
        Event::BatchRetried {
            partition,
            records: 3,
            attempts: 1,
            error,
        },
        Event::BatchFailed {
            partition,
            records: 3,
            error,
        },
        Event::Fetched {
            group: "billing",
            node: node.unwrap(),
            partitions: 1,
            bytes: 300,
            elapsed,
        },
        Event::Received {
            group: "billing",
            partition,
            records: 3,
            bytes: 300,
        },
        Event::Rebalance {
            group,
            generation: 1,
            phase: RebalancePhase::Assigned,
            partitions: &[],
        },
        Event::Heartbeat {
            group,
            elapsed,
            error: None,
        },
        Event::Commit {
            group,
            partitions: 1,
            elapsed,
            error: None,
        },
        Event::LaneStopped {
            group: "billing",
            partition,
            route: "handler",
            reason: "poison",
        },
        Event::OffsetReset {
            group: "billing",
            partition,
            from: 0,
            to: 7,
        },
        Event::CorruptSkipped {
            group,
            partition,
            from: 0,
            to: 7,
            error,
        },
        Event::LogTruncated {
            group,
            partition,
            from: 7,
            to: None,
        },
        Event::HandlerStuck {
            group,
            partition,
            offset: 7,
            route: "handler",
            elapsed,
        },
        Event::FetchFailed {
            group,
            node: node.unwrap(),
            partition: Some(partition),
            error,
        },
        Event::LookupFailed {
            group,
            partition,
            error,
        },
        Event::ConsumerStarted { group },
        Event::ConsumerEnded {
            group,
            end: ConsumerEnd::Failed(error),
        },
        Event::GateClosed {
            group,
            gate: "dead-letter:dead",
            reason: "it is missing",
        },
        Event::Panicked {
            what: "observer",
            message: "out of paper",
        },
    ];
    events.iter().for_each(|event| metrics.on(event));
    let route = metrics.route(&RouteLabels::new(group, "orders", "bill"));
    route.attempt(1, SOME_TIME, Err(ErrorClass::Timeout));
    route.attempt(2, SOME_TIME, Ok("ack"));
    route.record(2 * SOME_TIME, "ack");
    metrics.watch(Arc::new(Figures));
}

struct Figures;

impl Gauges for Figures {
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        let place = TopicPartition::new("orders", 0);
        let partition = &place;
        let address: Address = "kafka-1:9092".parse().unwrap();
        let group = "billing";
        for buffer in ["producer", "consumer"] {
            sink(Gauge::BufferUsed {
                buffer,
                used: 10,
                limit: 100,
                waited: None,
            });
        }
        sink(Gauge::Lag {
            group,
            partition,
            records: 5,
        });
        sink(Gauge::LagTime {
            group,
            partition,
            age: SOME_TIME,
        });
        sink(Gauge::Settled {
            group,
            partition,
            offset: Offset::ZERO,
        });
        sink(Gauge::LaneDepth {
            group: "billing",
            partition,
            records: 2,
        });
        sink(Gauge::OldestUnsettled {
            group: "billing",
            partition,
            offset: Offset::from(7u32),
            age: SOME_TIME,
            state: RecordState::Held {
                route: "handler",
                left: SOME_TIME,
            },
        });
        sink(Gauge::FetchTrouble {
            group,
            partition,
            age: SOME_TIME,
            error: &Error::broker(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        });
        sink(Gauge::Paused {
            group: "billing",
            partition,
            by: "breaker:payments",
        });
        sink(Gauge::Member {
            group,
            generation: Some(1),
            joined: true,
            age: SOME_TIME,
        });
        sink(Gauge::Gate {
            group: "billing",
            name: "breaker:payments",
            closed: Some("down"),
        });
        sink(Gauge::Breaker {
            name: "payments",
            state: BreakerPhase::Open,
        });
        sink(Gauge::Pool {
            node: node().unwrap(),
            address: &address,
            size: 2,
            idle: 1,
            waiting: 0,
        });
    }
}

/// Returns the name, type and labels of each row.
fn documented() -> BTreeMap<String, (String, Vec<String>)> {
    let rows = include_str!("../../METRICS.md").lines().skip(2);
    let rows = rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let labels = cells[4].split(", ").filter(|label| *label != "–");
        let labels = labels.map(|label| label.trim_matches('`').to_owned());
        let name = cells[1].trim_matches('`').to_owned();
        (name, (cells[2].to_owned(), labels.collect()))
    });
    rows.collect()
}

fn shown(registry: &Registry) -> BTreeMap<String, (String, Vec<String>)> {
    let families = registry.gather();
    let families = families.iter().map(|family| {
        let kind = match family.get_field_type() {
            MetricType::COUNTER => "counter",
            MetricType::GAUGE => "gauge",
            MetricType::HISTOGRAM => "histogram",
            _ => "other",
        };
        let labels = family.get_metric()[0].get_label();
        let labels = labels.iter().map(|label| label.name().to_owned());
        let name = family.name().to_owned();
        (name, (kind.to_owned(), labels.collect()))
    });
    families.collect()
}

#[test]
fn the_table_lists_every_metric_with_its_type_and_labels_and_no_other() {
    let metrics = Metrics::new();
    everything(&metrics);
    let (documented, shown) = (documented(), shown(metrics.registry()));
    assert_eq!(
        documented.keys().collect::<Vec<_>>(),
        shown.keys().collect::<Vec<_>>()
    );
    assert_eq!(documented, shown);
    for (name, (kind, _)) in &documented {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
    }
}

#[test]
fn a_programs_own_registry_holds_them_beside_its_own_and_only_once() {
    let registry = Registry::new();
    let own = prometheus::IntCounter::new("orders_total", "orders").unwrap();
    registry.register(Box::new(own.clone())).unwrap();
    let metrics = Metrics::builder().registry(&registry).build().unwrap();
    own.inc();
    everything(&metrics);
    let text = metrics.text();
    assert!(text.contains("orders_total 1"), "{text}");
    assert!(
        text.contains("milena_producer_records_total{topic=\"orders\"} 3"),
        "{text}"
    );
    let again = Metrics::builder().registry(&registry).build().unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Config);
}

#[test]
fn a_flood_of_label_values_is_counted_together_and_told() {
    let metrics = Metrics::builder().max_label_values(10).build().unwrap();
    for number in 0..10_000 {
        let place = TopicPartition::new(format!("topic-{number}"), 0);
        metrics.on(&Event::Received {
            group: "billing",
            partition: &place,
            records: 1,
            bytes: 100,
        });
        let labels = RouteLabels::new("group", &place.topic, format!("route-{number}"));
        metrics.route(&labels).record(SOME_TIME, "ack");
    }
    metrics.watch(Arc::new(Flood));
    let text = metrics.text();
    assert!(
        text.contains("milena_consumer_records_total{group=\"billing\",topic=\"_overflow\"} 9990"),
        "{text}"
    );
    let lag =
        "milena_consumer_lag_records{group=\"g\",partition=\"_overflow\",topic=\"_overflow\"}";
    assert!(text.contains(&format!("{lag} 990")), "{text}");
    assert!(
        text.lines().count() < 1_000,
        "{} lines",
        text.lines().count()
    );
    let overflow = "milena_metrics_overflow_total ";
    let told = text.lines().find_map(|line| line.strip_prefix(overflow));
    assert!(told.unwrap().parse::<u64>().unwrap() >= 9_990);
}

struct Flood;

impl Gauges for Flood {
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        for number in 0..1_000 {
            sink(Gauge::Lag {
                group: "g",
                partition: &TopicPartition::new("orders", number),
                records: 1,
            });
            sink(Gauge::Member {
                group: &format!("group-{number}"),
                generation: Some(1),
                joined: true,
                age: SOME_TIME,
            });
            sink(Gauge::LagTime {
                group: &format!("group-{number}"),
                partition: &TopicPartition::new("orders", 0),
                age: SOME_TIME,
            });
        }
    }
}

#[test]
fn what_a_lane_counted_stays_when_the_lane_ends() {
    let metrics = Metrics::new();
    let labels = RouteLabels::new("billing", "orders", "bill");
    let lanes = [metrics.route(&labels), metrics.route(&labels)];
    for lane in &lanes {
        lane.attempt(1, SOME_TIME, Ok("dead_lettered"));
        lane.record(SOME_TIME, "dead_lettered");
    }
    let count = "milena_process_record_seconds_count{group=\"billing\",outcome=\"dead_lettered\",route=\"bill\",topic=\"orders\"} 2";
    let letters =
        "milena_process_dead_letters_total{group=\"billing\",route=\"bill\",topic=\"orders\"} 2";
    let before = metrics.text();
    drop(lanes);
    for text in [before, metrics.text()] {
        assert!(text.contains(count), "{text}");
        assert!(text.contains(letters), "{text}");
    }
}

#[test]
fn figures_whose_owner_is_gone_are_not_read_any_more() {
    struct Gone;
    impl Gauges for Gone {
        fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
            sink(Gauge::BufferUsed {
                buffer: "producer",
                used: 1,
                limit: 1,
                waited: None,
            });
        }
        fn is_gone(&self) -> bool {
            true
        }
    }
    let metrics = Metrics::new();
    metrics.watch(Arc::new(Gone));
    assert!(!metrics.text().contains("milena_producer_buffer_bytes"));
}

#[test]
fn gauges_that_panic_take_neither_the_scrape_nor_the_others_with_them() {
    struct Broken;
    impl Gauges for Broken {
        fn read(&self, _: &mut dyn FnMut(Gauge<'_>)) {
            panic!("out of ink");
        }
    }
    let metrics = Metrics::new();
    metrics.watch(Arc::new(Broken));
    metrics.watch(Arc::new(Figures));
    let text = metrics.text();
    assert!(
        text.contains("milena_consumer_members{group=\"billing\"} 1"),
        "{text}"
    );
    assert!(
        text.contains("milena_panics_total{what=\"gauges\"} 1"),
        "{text}"
    );
    let again = metrics.text();
    assert!(
        again.contains("milena_panics_total{what=\"gauges\"} 2"),
        "{again}"
    );
}

#[test]
fn gauges_may_have_more_gauges_watched_while_they_are_read() {
    struct Growing(Metrics);
    impl Gauges for Growing {
        fn read(&self, _: &mut dyn FnMut(Gauge<'_>)) {
            self.0.watch(Arc::new(Figures));
        }
    }
    let metrics = Metrics::new();
    metrics.watch(Arc::new(Growing(metrics.clone())));
    let _ = metrics.text();
    assert!(metrics.text().contains("milena_consumer_members"));
}

#[test]
fn a_consumer_that_failed_is_shown_until_another_is_started_in_its_place() {
    let metrics = Metrics::new();
    let group = "billing";
    let failed = Error::broker(ErrorCode::GROUP_AUTHORIZATION_FAILED);
    let shown = |name: &str| {
        let name = format!("milena_consumer_{name}{{group=\"billing\"}} ");
        let text = metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(&*name));
        line.unwrap().to_owned()
    };
    metrics.on(&Event::ConsumerStarted { group });
    assert_eq!([shown("running"), shown("failed")], ["1", "0"]);
    let end = ConsumerEnd::Failed(&failed);
    metrics.on(&Event::ConsumerEnded { group, end });
    assert_eq!([shown("running"), shown("failed")], ["0", "1"]);
    metrics.on(&Event::ConsumerStarted { group });
    assert_eq!([shown("running"), shown("failed")], ["1", "0"]);
    let end = ConsumerEnd::Closed;
    metrics.on(&Event::ConsumerEnded { group, end });
    assert_eq!([shown("running"), shown("failed")], ["0", "0"]);
}

#[test]
fn two_groups_that_read_one_topic_are_counted_apart() {
    let metrics = Metrics::new();
    let place = TopicPartition::new("orders", 0);
    for (group, records) in [("billing", 3), ("shipping", 5)] {
        metrics.on(&Event::Received {
            group,
            partition: &place,
            records,
            bytes: 100,
        });
    }
    let text = metrics.text();
    for (group, records) in [("billing", 3), ("shipping", 5)] {
        let line = format!(
            "milena_consumer_records_total{{group=\"{group}\",topic=\"orders\"}} {records}"
        );
        assert!(text.contains(&line), "{text}");
    }
}

#[test]
fn metrics_of_two_clusters_in_one_registry_are_told_apart_by_a_label() {
    let registry = Registry::new();
    let of = |cluster: &str| {
        let builder = Metrics::builder().registry(&registry);
        builder.add_label("cluster", cluster).build().unwrap()
    };
    let (east, west) = (of("east"), of("west"));
    everything(&east);
    everything(&west);
    everything(&west);
    let text = east.text();
    for line in [
        "milena_producer_records_total{cluster=\"east\",topic=\"orders\"} 3",
        "milena_producer_records_total{cluster=\"west\",topic=\"orders\"} 6",
        "milena_process_retries_total{cluster=\"west\",group=\"billing\",route=\"bill\",topic=\"orders\"} 2",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}
