//! A world of figures for the tests of the judge, in which all is well until a test changes it.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Address, Error, ErrorKind, Event, Gate, GateState, Gauge, Gauges, NextStep, NodeId, Observer,
    Offset, RecordState, TopicPartition,
};
use milena_health::{Health, Phase, State};
use parking_lot::Mutex;
use tokio::time::{Instant, advance};

/// The figures of a consumer, a producer and two brokers.
#[derive(Clone)]
pub(crate) struct World(pub(crate) Arc<Mutex<Figures>>);

pub(crate) struct Figures {
    /// The ids of the brokers in the cluster.
    pub(crate) nodes: Vec<i32>,
    pub(crate) member: bool,
    pub(crate) joined: bool,
    /// The time since when `member` has its value.
    pub(crate) member_since: Instant,
    pub(crate) lag: u64,
    /// The next step that the partition waits for while it lags.
    pub(crate) waits: Waits,
    /// The time since when `waits` has its value.
    pub(crate) waits_since: Instant,
    pub(crate) trouble: Option<(Instant, Error)>,
    pub(crate) settled: u32,
    pub(crate) paused: Option<&'static str>,
    pub(crate) buffer: u64,
    pub(crate) buffer_waited: Option<Instant>,
    pub(crate) gates: Vec<Gate>,
}

#[derive(Clone, Copy)]
pub(crate) enum Waits {
    Step(NextStep),
    Record(RecordState<'static>),
}

impl Gauges for World {
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        let figures = self.0.lock();
        let place = TopicPartition::new("orders", 0);
        let (group, partition) = ("billing", &place);
        let address: Address = "kafka:9092".parse().unwrap();
        for node in figures.nodes.iter().map(|id| node(*id)) {
            sink(Gauge::Pool {
                node,
                address: &address,
                size: 0,
                idle: 0,
                waiting: 0,
            });
        }
        sink(Gauge::BufferUsed {
            buffer: "producer",
            used: figures.buffer,
            limit: 1_000,
            waited: figures.buffer_waited.map(|since| since.elapsed()),
        });
        sink(Gauge::Member {
            group,
            generation: figures.member.then_some(1),
            joined: figures.joined,
            age: figures.member_since.elapsed(),
        });
        let age = figures.waits_since.elapsed();
        match figures.waits {
            _ if figures.lag == 0 => {}
            Waits::Step(next) => sink(Gauge::Undelivered {
                group,
                partition,
                age,
                next,
            }),
            Waits::Record(state) => sink(Gauge::OldestUnsettled {
                group,
                partition,
                offset: Offset::from(figures.settled),
                age,
                state,
            }),
        }
        if let Some((since, error)) = &figures.trouble {
            sink(Gauge::FetchTrouble {
                group,
                partition,
                age: since.elapsed(),
                error,
            });
        }
        sink(Gauge::Lag {
            group,
            partition,
            records: figures.lag,
        });
        sink(Gauge::Settled {
            group,
            partition,
            offset: Offset::from(figures.settled),
        });
        if let Some(by) = figures.paused {
            sink(Gauge::Paused {
                group: "billing",
                partition,
                by,
            });
        }
        for gate in &figures.gates {
            let reason = match gate.state() {
                GateState::Open => None,
                GateState::Closed(reason) => Some(reason),
            };
            sink(Gauge::Gate {
                group: "billing",
                name: gate.name(),
                closed: reason.as_deref(),
            });
        }
    }
}

pub(crate) fn node(id: i32) -> NodeId {
    NodeId::from_wire(id).unwrap()
}

pub(crate) fn error() -> Error {
    Error::new(ErrorKind::Transport, "connection refused")
}

impl World {
    /// Makes a world in which all is well.
    pub(crate) fn new() -> (Self, Health) {
        let world = Self(Arc::new(Mutex::new(Figures {
            nodes: vec![1, 2],
            member: true,
            joined: true,
            member_since: Instant::now(),
            lag: 0,
            settled: 0,
            waits: Waits::Step(NextStep::Lane),
            waits_since: Instant::now(),
            trouble: None,
            paused: None,
            buffer: 0,
            buffer_waited: None,
            gates: vec![Gate::new("breaker:payments"), Gate::new("dead-letter:dead")],
        })));
        let health = Health::new();
        health.watch(Arc::new(world.clone()));
        answers(&health, 1);
        answers(&health, 2);
        let report = health.report();
        assert_eq!((report.state, report.phase), (State::Ok, Phase::Running));
        assert!(report.live && report.ready && report.started, "{report:?}");
        (world, health)
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Figures)) {
        let mut figures = self.0.lock();
        let before = (figures.member, figures.lag > 0, figures.settled);
        change(&mut figures);
        if before.0 != figures.member {
            figures.member_since = Instant::now();
            figures.joined |= figures.member;
        }
        if (before.1, before.2) != (figures.lag > 0, figures.settled) {
            figures.waits_since = Instant::now();
        }
    }
}

pub(crate) fn answers(health: &Health, id: i32) {
    health.on(&Event::Request {
        node: Some(node(id)),
        api: "Metadata",
        version: 12,
        elapsed: Duration::from_millis(3),
        sent: 10,
        received: 10,
        error: None,
    });
}

pub(crate) fn refuses(health: &Health, id: i32) {
    health.on(&Event::ConnectFailed {
        node: Some(node(id)),
        address: &"kafka:9092".parse().unwrap(),
        error: &error(),
    });
}

pub(crate) fn state(health: &Health, check: &str) -> State {
    health
        .report()
        .check(check)
        .expect("the check is there")
        .state
}

pub(crate) async fn pass(seconds: u64) {
    advance(Duration::from_secs(seconds)).await;
}
