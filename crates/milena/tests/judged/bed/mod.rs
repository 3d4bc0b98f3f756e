//! A client with health and metrics on an embedded broker, and its log lines.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use milena::Client;
use milena::health::{Health, Report, State};
use milena::metrics::Metrics;
use milena::test::Kit;
use tokio::time::{Instant, sleep};
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// The client under test, with everything that observes it.
pub(crate) struct Bed {
    pub(crate) kit: Arc<Kit>,
    pub(crate) client: Client,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Bed {
    /// Starts a broker with these topics and their numbers of partitions, and connects the client.
    pub(crate) async fn new(topics: &[(&str, u32)]) -> Self {
        let mut kit = Kit::builder();
        for (topic, partitions) in topics {
            kit = kit.topic(*topic, *partitions);
        }
        let kit = Arc::new(kit.start().await.unwrap());
        let (health, metrics) = (Health::new(), Metrics::new());
        let clock = Arc::clone(&kit);
        let client = Client::builder()
            .clock(move || clock.now())
            .bootstrap(kit.broker().bootstrap())
            .connector(kit.broker().dialer())
            .health(&health)
            .metrics(&metrics);
        let client = client.connect().await.unwrap();
        Self {
            kit,
            client,
            health,
            metrics,
        }
    }

    pub(crate) fn state(&self, check: &str) -> Option<State> {
        let report = self.health.report();
        report.check(check).map(|check| check.state)
    }

    pub(crate) fn reason(&self, check: &str) -> String {
        let report = self.health.report();
        let check = report.check(check);
        check.map_or_else(String::new, |check| check.reason.clone())
    }

    /// Reads the report until it is as wanted. Returns the time that this took.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Report) -> bool) -> Duration {
        let began = Instant::now();
        while began.elapsed() < secs(900) {
            if wanted(&self.health.report()) {
                return began.elapsed();
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("never {what}: {:#?}", self.health.report());
    }

    /// Returns the sum of all series whose lines contain each of `parts`.
    pub(crate) fn sum(&self, parts: &[&str]) -> f64 {
        let text = self.metrics.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines = lines.filter(|line| parts.iter().all(|part| line.contains(part)));
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.sum()
    }

    /// Returns the number of series whose lines contain each of `parts`.
    pub(crate) fn series(&self, parts: &[&str]) -> usize {
        let text = self.metrics.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter(|line| parts.iter().all(|part| line.contains(part)))
            .count()
    }
}

/// Collects the log lines of level `warn` and above while it exists.
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<(Instant, String)>>>,
    _default: DefaultGuard,
}

struct Lines(Arc<Mutex<Vec<(Instant, String)>>>);

impl Log {
    pub(crate) fn new() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let layer = Lines(Arc::clone(&lines));
        let subscriber = tracing_subscriber::registry().with(layer);
        Self {
            lines,
            _default: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Returns the time of the first line that contains each of `parts`.
    pub(crate) fn first(&self, parts: &[&str]) -> Option<Instant> {
        let lines = self.lines.lock().unwrap();
        let found = |line: &&(Instant, String)| parts.iter().all(|part| line.1.contains(part));
        lines.iter().find(found).map(|(at, _)| *at)
    }

    pub(crate) fn all(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().map(|(_, line)| line.clone()).collect()
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() > Level::WARN {
            return;
        }
        let mut words = Words(String::new());
        event.record(&mut words);
        self.0.lock().unwrap().push((Instant::now(), words.0));
    }
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}
