//! The process that is killed. A member of the group with a stack of layers, which writes its
//! actions to the journal.

use std::future::Future;
use std::io::BufRead;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use milena::core::{GateState, RebalancePhase};
use milena::middleware::{
    CircuitBreakerLayer, DeadLetterLayer, LogLayer, RecoveryLayer, RetryLayer, Stack, TimeoutLayer,
};
use milena::{
    Attempt, Backoff, BoxError, Client, ErrorClass, Event, Incoming, Json, Offset, Order, Outcome,
    Partition, ProcessError, ShutdownHandle, State, StuckPolicy, TopicName,
};
use serde::Deserialize;
use tokio::task::yield_now;
use tower::{Layer, Service};

use super::journal::{Entry, What, Writer};
use super::plan::Plan;

/// The parameters of a worker.
pub(super) struct Task {
    pub(super) plan: Plan,
    pub(super) bootstrap: String,
    pub(super) topic: TopicName,
    pub(super) dead: TopicName,
    pub(super) group: String,
    pub(super) journal: PathBuf,
    /// The number of the life, counted from 1. Each start begins another life.
    pub(super) life: u32,
    /// True if the dependency is up at the start, and the offset at which it goes down.
    pub(super) up: bool,
    pub(super) dies_at: u64,
}

impl Task {
    /// Returns the environment variables with the parameters.
    pub(super) fn to_env(&self) -> [(&'static str, String); 11] {
        [
            ("MILENA_TEST_KILL_SEED", self.plan.seed.to_string()),
            ("MILENA_TEST_KILL_RECORDS", self.plan.records.to_string()),
            ("MILENA_TEST_KILL_KEYS", self.plan.keys.to_string()),
            ("MILENA_TEST_KILL_BOOTSTRAP", self.bootstrap.clone()),
            ("MILENA_TEST_KILL_TOPIC", self.topic.to_string()),
            ("MILENA_TEST_KILL_DEAD", self.dead.to_string()),
            ("MILENA_TEST_KILL_GROUP", self.group.clone()),
            (
                "MILENA_TEST_KILL_JOURNAL",
                self.journal.display().to_string(),
            ),
            ("MILENA_TEST_KILL_LIFE", self.life.to_string()),
            ("MILENA_TEST_KILL_UP", self.up.to_string()),
            ("MILENA_TEST_KILL_DIES_AT", self.dies_at.to_string()),
        ]
    }

    /// Reads the parameters from the environment. `None` in a process that is no worker.
    pub(super) fn from_env() -> Option<Self> {
        let text = |name: &str| std::env::var(format!("MILENA_TEST_KILL_{name}")).ok();
        let number = |name: &str| text(name)?.parse().ok();
        Some(Self {
            plan: Plan {
                seed: text("SEED")?.parse().ok()?,
                records: number("RECORDS")?,
                keys: number("KEYS")?,
                kills: 0,
                outages: 0,
            },
            bootstrap: text("BOOTSTRAP")?,
            topic: text("TOPIC")?.into(),
            dead: text("DEAD")?.into(),
            group: text("GROUP")?,
            journal: text("JOURNAL")?.into(),
            life: number("LIFE")?,
            up: text("UP")? == "true",
            dies_at: text("DIES_AT")?.parse().ok()?,
        })
    }
}

/// The state that the handlers share.
#[derive(Clone)]
struct Shop {
    plan: Plan,
    life: u32,
    journal: Arc<Writer>,
    gateway: Arc<Gateway>,
}

/// The dependency. It goes down at a record of a given offset or later, and comes back when the
/// parent says so.
struct Gateway {
    health: Mutex<Health>,
    journal: Arc<Writer>,
}

struct Health {
    up: bool,
    dies_at: u64,
}

impl Gateway {
    fn new(task: &Task, journal: Arc<Writer>) -> Self {
        if !task.up {
            journal.write(Entry::new(What::Died, 0, 0));
        }
        let health = Mutex::new(Health {
            up: task.up,
            dies_at: task.dies_at,
        });
        Self { health, journal }
    }

    fn answers(&self, offset: Offset) -> bool {
        let mut health = self.health.lock().unwrap();
        if health.up && u64::try_from(offset.to_wire()).unwrap() >= health.dies_at {
            health.up = false;
            self.journal.write(Entry::new(What::Died, 0, 0));
        }
        health.up
    }

    fn comes_back(&self, dies_at: u64) {
        let mut health = self.health.lock().unwrap();
        self.journal.write(Entry::new(What::Back, 0, 0));
        *health = Health { up: true, dies_at };
    }
}

#[derive(Deserialize)]
struct Placed {
    number: u32,
    customer: u32,
}

/// Works until the parent ends it in order or kills it.
pub(super) async fn work(task: Task) {
    std::panic::set_hook(Box::new(|panic| {
        if panic.payload().downcast_ref::<&str>() != Some(&ON_PURPOSE) {
            eprintln!("the worker panicked: {panic}");
        }
    }));
    let client = Client::builder()
        .bootstrap(task.bootstrap.as_str())
        .client_id("kill-run")
        .connect()
        .await
        .unwrap();
    let journal = Arc::new(Writer::open(&task.journal));
    let shop = Shop {
        plan: task.plan,
        life: task.life,
        gateway: Arc::new(Gateway::new(&task, Arc::clone(&journal))),
        journal,
    };
    let breaker = CircuitBreakerLayer::new("gateway")
        .consecutive(5)
        .open_for(Duration::from_millis(100))
        .counts(|class| class == ErrorClass::Dependency);
    let mut gate = breaker.breaker().gate().watch();
    let journal = Arc::clone(&shop.journal);
    tokio::spawn(async move {
        loop {
            if gate.changed().await != GateState::Open {
                journal.write(Entry::new(What::Opened, 0, 0));
            }
        }
    });
    let producer = client.producer().build().unwrap();
    let stack = Stack::new()
        .tower_layer(WitnessLayer(Arc::clone(&shop.journal)))
        .layer(DeadLetterLayer::new(&task.dead, producer).group(&*task.group))
        .layer(LogLayer::new())
        .layer(RetryLayer::new(Backoff::new(
            Duration::from_millis(1),
            Duration::from_millis(20),
        )))
        .layer(breaker)
        .layer(TimeoutLayer::new(Duration::from_secs(30)))
        .layer(RecoveryLayer::new())
        .with_state(shop.clone())
        .handler(process);
    let journal = Arc::clone(&shop.journal);
    let consumer = client
        .consumer(&*task.group)
        .topics([&task.topic])
        .order(Order::Key(LANES))
        .commit_interval(COMMITS)
        .max_out_of_order(WINDOW)
        .session_timeout(SESSION)
        .heartbeat_interval(SESSION / 6)
        .on_stuck(StuckPolicy::StopLane)
        .add_observer(Arc::new(move |event: &Event<'_>| observe(&journal, event)))
        .build()
        .unwrap();
    listen(shop.gateway, consumer.shutdown_handle());
    consumer.run(stack).await.unwrap();
    client.close().await;
    shop.journal.write(Entry::new(What::Closed, 0, 0));
}

/// Processes one order. Asks the dependency and takes some time. The orders of some customers fail
/// once or twice.
async fn process(
    State(shop): State<Shop>,
    Attempt(attempt): Attempt,
    partition: Partition,
    offset: Offset,
    Json(order): Json<Placed>,
) -> Result<Outcome, ProcessError> {
    let note = |what| {
        let entry = Entry::new(what, partition.index(), offset.to_wire());
        shop.journal.write(entry.number(order.number));
    };
    if !shop.gateway.answers(offset) {
        note(What::Down);
        return Err(ProcessError::dependency("gateway", "refused"));
    }
    // The order in which records under way end is random.
    let path = shop.plan.path(order.number, shop.life);
    for _ in 0..path % 8 {
        yield_now().await;
    }
    if path >> 8 & 63 == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if attempt <= shop.plan.failures(order.customer) {
        note(What::Failed);
        if path >> 16 & 3 == 0 {
            std::panic::panic_any(ON_PURPOSE);
        }
        return Err(ProcessError::transient("not yet"));
    }
    note(What::Done);
    Ok(Outcome::Ack)
}

fn observe(journal: &Writer, event: &Event<'_>) {
    match event {
        Event::Paused { partition, by, .. } if by.starts_with("breaker:") => {
            journal.write(Entry::new(What::Paused, partition.partition.index(), 0));
        }
        Event::Rebalance {
            phase: RebalancePhase::Lost,
            ..
        } => journal.write(Entry::new(What::Lost, 0, 0)),
        _ => {}
    }
}

/// Follows the commands of the parent. Ends the process if the parent is gone.
fn listen(gateway: Arc<Gateway>, stop: ShutdownHandle) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            match line.split_once(' ') {
                Some(("up", dies_at)) => gateway.comes_back(dies_at.parse().unwrap()),
                _ => stop.shutdown(),
            }
        }
        if !stop.is_shutting_down() {
            std::process::exit(3);
        }
    });
}

/// The outermost layer. Sees the records that arrive at the stack, and those that became dead
/// letters.
#[derive(Clone)]
struct WitnessLayer(Arc<Writer>);

#[derive(Clone)]
struct Witness<S> {
    inner: S,
    journal: Arc<Writer>,
}

impl<S> Layer<S> for WitnessLayer {
    type Service = Witness<S>;

    fn layer(&self, inner: S) -> Witness<S> {
        Witness {
            inner,
            journal: Arc::clone(&self.0),
        }
    }
}

impl<S> Service<Incoming> for Witness<S>
where
    S: Service<Incoming, Response = Outcome, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let record = &incoming.record;
        let (partition, offset) = (record.partition.index(), record.offset.to_wire());
        let journal = Arc::clone(&self.journal);
        journal.write(Entry::new(What::Taken, partition, offset));
        let processing = self.inner.call(incoming);
        Box::pin(async move {
            let outcome = processing.await?;
            if let Outcome::DeadLettered(_) = outcome {
                journal.write(Entry::new(What::Dead, partition, offset));
            }
            Ok(outcome)
        })
    }
}

/// The message of an intended panic.
const ON_PURPOSE: &str = "on purpose";
/// The number of lanes of each partition.
const LANES: usize = 64;
/// The session timeout of a dead member.
pub(super) const SESSION: Duration = Duration::from_secs(2);
/// The interval of commits, and the most records that may be done ahead of one that is not.
/// Together they limit the records that are repeated after a kill.
const COMMITS: Duration = Duration::from_millis(20);
const WINDOW: usize = 2_000;
