//! The parent process. Produces the records, starts and kills the worker, and feeds the oracle.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use milena::admin::{ConfigChange, ConfigResource};
use milena::dead_letters::LetterFilter;
use milena::{Client, TopicName};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::journal::Reader;
use super::ledger::Ledger;
use super::oracle::Oracle;
use super::plan::{Plan, Step};
use super::worker::{SESSION, Task};
use crate::cluster::{World, unique, within};

/// Runs a plan on the cluster under test to its end.
pub(super) async fn run(plan: Plan) {
    println!("the kill run's seed is {}: {plan:?}", plan.seed);
    let world = World::with(|broker| broker.consumer_group_timing(SESSION, SESSION / 6)).await;
    let (topic, dead) = (world.topic(PARTITIONS as i32).await, world.topic(2).await);
    let group = unique("kill");
    shorten_sessions(&world.client, &group).await;
    let log = produce(&world.client, &topic, &plan).await;
    let journal = Scratch(super::scratch("journal"));
    let mut run = Run {
        reader: Reader::create(&journal.0),
        oracle: Oracle::new(&plan, &log),
        task: Task {
            plan,
            bootstrap: world.cluster.bootstrap().join(","),
            topic,
            dead,
            group,
            journal: journal.0.clone(),
            life: 0,
            up: true,
            dies_at: 0,
        },
        client: world.client.clone(),
        worker: None,
        moved: Instant::now(),
    };
    let steps = plan.steps();
    let outages = steps.iter().filter(|(_, step)| *step != Step::Kill);
    // The dependency fails by offset and not by time. So records remain for the outage even if this
    // process is slow to observe.
    let mut outages = outages.map(|(moment, _)| u64::from(*moment) / PARTITIONS as u64);
    let mut next_outage = || outages.next().unwrap_or(u64::MAX);
    run.task.dies_at = next_outage();
    let began = Instant::now();
    run.start();
    for (moment, step) in &steps {
        match step {
            Step::Kill => {
                let moment = *moment as usize;
                // If one partition is ahead of the others, the next outage may come first.
                run.until(|oracle| oracle.processed() >= moment || oracle.is_out())
                    .await;
                run.kill().await;
                run.start();
            }
            Step::Outage { with_kill } => run.outage(*with_kill, next_outage()).await,
        }
    }
    run.until(Oracle::is_all_committed).await;
    let elapsed = began.elapsed();
    run.stop().await;
    run.read_dead_letters().await;
    run.oracle.finish();
    let ledger = Ledger {
        elapsed,
        ..run.oracle.ledger().clone()
    };
    println!("{ledger}");
    let wrong = run.oracle.wrong();
    assert!(
        wrong.is_empty(),
        "seed {}: {} things are wrong, the first of them: {wrong:#?}",
        plan.seed,
        ledger.wrong,
    );
    check_that_it_was_hard(&plan, &ledger);
}

/// Checks that all planned events happened. A run without them proves nothing.
fn check_that_it_was_hard(plan: &Plan, ledger: &Ledger) {
    let seed = plan.seed;
    assert_eq!(ledger.kills, plan.kills as usize, "seed {seed}");
    assert_eq!(ledger.outages, plan.outages as usize, "seed {seed}");
    let counts = [
        ledger.poison,
        ledger.repeated,
        ledger.overtaking,
        ledger.transient_retries,
        ledger.dependency_failures,
        ledger.openings,
        ledger.commits,
    ];
    assert!(
        counts.iter().all(|count| *count > 0),
        "seed {seed}: {counts:?}"
    );
}

struct Run {
    client: Client,
    task: Task,
    worker: Option<Child>,
    reader: Reader,
    oracle: Oracle,
    /// The time at which the last change was seen.
    moved: Instant,
}

impl Run {
    fn start(&mut self) {
        self.task.life += 1;
        // The worker is this test program, started with one test that does nothing in any other
        // process.
        let worker = Command::new(std::env::current_exe().unwrap())
            .args([
                "kill::worker_process",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .envs(self.task.to_env())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.worker = Some(worker.unwrap());
        self.moved = Instant::now();
    }

    /// Observes the worker until a condition holds.
    async fn until(&mut self, mut holds: impl FnMut(&Oracle) -> bool) {
        while !holds(&self.oracle) {
            self.look().await;
            let ended = self.worker.as_mut().map(Child::try_wait);
            if let Some(Ok(Some(status))) = ended {
                panic!("{}: the worker ended by itself: {status}", self.state());
            }
            assert!(
                self.moved.elapsed() < PATIENCE,
                "{}: it stands still",
                self.state()
            );
            // The journal is a file, so it must be polled.
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Reads the committed offsets first, and then the worker's journal. The entries of committed
    /// records were written before the commit.
    async fn look(&mut self) {
        let admin = self.client.admin().timeout(PATIENCE / 4);
        let mut tries = 0..3;
        let committed = loop {
            let asked = admin.group_offsets([self.task.group.clone()]);
            match within(asked).await.all() {
                Ok(committed) => break committed,
                // On a machine that was suspended, the first request may time out.
                Err(error) if tries.next().is_some() => println!("asked again: {error}"),
                Err(error) => panic!("{}: {error}", self.state()),
            }
        };
        let (oracle, mut entries) = (&mut self.oracle, 0);
        self.reader.drain(|entry| {
            entries += 1;
            oracle.saw(entry);
        });
        for (place, committed) in committed.into_iter().flatten() {
            let offset = usize::try_from(committed.offset.to_wire()).unwrap();
            oracle.committed(place.partition.index(), offset);
        }
        if entries > 0 {
            self.moved = Instant::now();
        }
    }

    /// Kills the worker with SIGKILL, and reads the rest of its journal.
    async fn kill(&mut self) {
        let mut worker = self.worker.take().unwrap();
        worker.start_kill().unwrap();
        within(worker.wait()).await.unwrap();
        self.look().await;
        self.oracle.killed();
    }

    /// Waits until the dependency is down, and lets it come back. It goes down again at the offset
    /// `dies_at`.
    async fn outage(&mut self, with_kill: bool, dies_at: u64) {
        self.until(Oracle::is_out).await;
        self.task.up = false;
        if with_kill {
            self.kill().await;
            self.start();
            self.until(Oracle::is_out).await;
        }
        let down = self.task.plan.path(u32::MAX, self.task.life) % 500;
        let end = Instant::now() + Duration::from_millis(500 + down);
        self.until(|_| Instant::now() >= end).await;
        (self.task.up, self.task.dies_at) = (true, dies_at);
        self.say(&format!("up {dies_at}")).await;
        self.until(|oracle| !oracle.is_out()).await;
    }

    async fn stop(&mut self) {
        self.say("stop").await;
        let mut worker = self.worker.take().unwrap();
        let status = within(worker.wait()).await.unwrap();
        assert!(
            status.success(),
            "{}: the worker's end: {status}",
            self.state()
        );
        self.look().await;
    }

    async fn read_dead_letters(&mut self) {
        let letters = self.client.dead_letters(&self.task.dead);
        let mut scan = within(letters.scan(LetterFilter::new())).await.unwrap();
        while let Some(found) = within(scan.next()).await.unwrap() {
            let letter = found.letter.expect("a dead letter says where it came from");
            assert_eq!(letter.topic, self.task.topic);
            let offset = usize::try_from(letter.offset.unwrap().to_wire()).unwrap();
            let class = letter.class.unwrap_or_default();
            let partition = letter.partition.unwrap().index();
            self.oracle.letter(partition, offset, &class);
        }
    }

    async fn say(&mut self, word: &str) {
        let stdin = self.worker.as_mut().unwrap().stdin.as_mut().unwrap();
        stdin
            .write_all(format!("{word}\n").as_bytes())
            .await
            .unwrap();
        stdin.flush().await.unwrap();
    }

    /// Describes the run, for a failing test.
    fn state(&self) -> String {
        let (seed, wrong) = (self.task.plan.seed, self.oracle.wrong());
        format!(
            "seed {seed}, life {}, wrong so far: {wrong:#?}, {}",
            self.task.life,
            self.oracle.ledger()
        )
    }
}

/// Produces all records. Returns the numbers of each partition's records, in the order of its log.
async fn produce(client: &Client, topic: &TopicName, plan: &Plan) -> Vec<Vec<u32>> {
    let producer = client.producer().build().unwrap();
    let out = producer.topic(topic);
    let mut log = vec![Vec::new(); PARTITIONS];
    let numbers: Vec<u32> = (0..plan.records).collect();
    for some in numbers.chunks(50_000) {
        let mut deliveries = Vec::with_capacity(some.len());
        for number in some {
            let (key, value) = (plan.key_text(*number), plan.value(*number));
            let placed = out.enqueue(Some(key.as_bytes()), Some(value.as_bytes()));
            deliveries.push(within(placed).await.unwrap());
        }
        for (number, delivery) in some.iter().zip(deliveries) {
            let written = within(delivery).await.unwrap();
            let numbers = &mut log[written.partition.index()];
            let offset = written.offset.unwrap().to_wire();
            assert_eq!(
                usize::try_from(offset),
                Ok(numbers.len()),
                "a log without gaps"
            );
            numbers.push(*number);
        }
    }
    log
}

/// Shortens the session timeout of the group. With the consumer protocol it is a setting of the
/// group. A cluster without that setting uses the timeout of the members.
async fn shorten_sessions(client: &Client, group: &str) {
    let millis = |time: Duration| time.as_millis().to_string();
    let changes = vec![
        ConfigChange::set("consumer.session.timeout.ms", millis(SESSION)),
        ConfigChange::set("consumer.heartbeat.interval.ms", millis(SESSION / 6)),
    ];
    let of = ConfigResource::Group(group.to_owned());
    let changed = within(client.admin().alter_configs([(of, changes)])).await;
    if let Err(error) = changed.all() {
        println!("the group keeps the cluster's session timeout: {error}");
    }
}

/// A file that is deleted with the run.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const PARTITIONS: usize = 4;
/// The longest time without any change.
const PATIENCE: Duration = Duration::from_secs(60);
