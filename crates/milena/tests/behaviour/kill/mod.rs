//! The kill run. A processor is killed again and again, its dependency goes down and comes back,
//! and no record is lost, skipped or out of order.

mod journal;
mod ledger;
mod oracle;
mod plan;
mod run;
mod worker;

use std::path::{Path, PathBuf};

use crate::cluster::unique;
use plan::Plan;

/// Returns the seed that `MILENA_TEST_SEED` names, or a new one. The run prints it.
fn seed() -> u64 {
    let given = std::env::var("MILENA_TEST_SEED").ok();
    let given = given.and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros();
        u64::try_from(now).unwrap()
    })
}

/// Returns a file name for this test only.
fn scratch(what: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique(what))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_that_is_killed_loses_nothing_and_keeps_its_order() {
    let plan = Plan {
        seed: seed(),
        records: 20_000,
        keys: 1_000,
        kills: 2,
        outages: 1,
    };
    run::run(plan).await;
}

/// The long run, for `make verify`. Its ledger is in the documents.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long in an unoptimised build; `make verify` runs it"]
async fn two_million_records_outlive_five_kills_and_two_outages() {
    let plan = Plan {
        seed: seed(),
        records: 2_000_000,
        keys: 100_000,
        kills: 5,
        outages: 2,
    };
    run::run(plan).await;
}

/// The worker process, which the tests above start. It does nothing by itself.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that the kill run starts and kills"]
async fn worker_process() {
    if let Some(task) = worker::Task::from_env() {
        worker::work(task).await;
    }
}
