//! The kill ledger. Compares every outcome of a producer and every record that group members
//! process, while three real brokers and the members are killed and stopped.
//!
//! No record is lost, written twice or out of order. No partition waits longer for a record than
//! with Java's members at the same time.
//!
//! It kills brokers, so it needs a cluster of its own. `scripts/kill-ledger` starts one and runs
//! this test, and `make verify` runs that script.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test stops at the first thing that goes wrong"
)]

mod brokers;
mod group;
mod java;
mod log;
mod member;
mod offsets;
mod plan;
mod produce;
mod tally;

use std::path::{Path, PathBuf};

use milena::Client;
use milena::admin::NewTopic;
use tokio::time::{Duration, Instant, sleep};

use brokers::Brokers;
use group::Group;
use java::JavaGroup;
use plan::Plan;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "kills the brokers of its cluster; scripts/kill-ledger runs it"]
async fn nothing_is_lost_twice_or_out_of_order_while_brokers_and_members_are_killed() {
    let plan = Plan::from_env();
    println!("{plan:?}");
    let brokers = Brokers::from_env();
    let work = Scratch::new();
    let client = Client::builder()
        .bootstrap(brokers.bootstrap())
        .client_id("ledger")
        .connect()
        .await
        .unwrap();
    let topic = format!("ledger-{}", std::process::id());
    let new = NewTopic::new(topic.as_str())
        .partitions(PARTITIONS as i32)
        .replication_factor(3);
    client
        .admin()
        .create_topics([new])
        .await
        .unwrap()
        .all()
        .unwrap();
    let mut groups = Vec::new();
    for protocol in ["classic", "consumer"] {
        let group = Group::start(&plan, protocol, brokers.bootstrap(), &topic, &work.0);
        groups.push(group);
    }
    let mut java = JavaGroup::start(&brokers, &topic);
    for group in &mut groups {
        group.until_it_reads(&client).await;
    }
    java.until_it_joined().await;

    let begun = Instant::now();
    let producing = tokio::spawn(produce::produce(
        client.clone(),
        topic.clone(),
        plan.clone(),
    ));
    let chaos = brokers.chaos(&plan, begun);
    let watching = group::watch(&mut groups, (&mut java, &brokers), &client, &plan, begun);
    let (done, ()) = tokio::join!(chaos, watching);
    let outcomes = producing.await.unwrap();
    brokers.until_all_answer().await;
    println!("{done:?}; {}", outcomes.summary());
    for group in &mut groups {
        group.until_all_is_committed(&client).await;
    }
    // Commits and records that come late are included in the check for repeated records.
    sleep(Duration::from_secs(2)).await;
    let java = java.stop().await;
    let log = log::read(&brokers, &topic, &outcomes).await;
    let mut wrong = log.check(&outcomes);
    let mut gaps = Vec::new();
    for group in groups {
        let name = group.name().to_owned();
        let found = group.stop(&log).await;
        wrong.extend(offsets::gone_back(&client, &name, &topic).await);
        println!("{found}");
        wrong.extend(found.wrong);
        gaps.push(found.gap);
    }
    println!("longest time without a record of a partition in Java's classic group: {java:?}");
    client.close().await;
    assert!(wrong.is_empty(), "{} things: {wrong:#?}", wrong.len());
    assert_eq!((done.kills, done.stops), (plan.kills, plan.stops));
    // Both groups wait for the sessions of killed members to time out, but at different moments.
    assert!(
        gaps[0] <= java + java / 4 + Duration::from_secs(5),
        "a partition of the classic group had no record for {:?}, of Java's for {java:?}",
        gaps[0]
    );
}

/// The process of a member, which the test above starts and kills. It does nothing by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the kill ledger starts and kills"]
async fn member_process() {
    if let Some(task) = member::Task::from_env() {
        member::work(task).await;
    }
}

/// A folder that is deleted with the run.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("ledger-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns the time in milliseconds since 1970, which all processes of the run share.
fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

const PARTITIONS: usize = 6;
