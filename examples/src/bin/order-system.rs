//! The whole order system in one process: places orders, handles them, audits the result, and ends with a table.
//!
//! On an embedded broker, or on the cluster that `MILENA_BOOTSTRAP` names, where its topics are deleted again. The exit code is 1 when
//! the sums do not agree. `--http 127.0.0.1:0` serves health and metrics and prints where, `--otlp http://127.0.0.1:4318` exports the
//! trace of every order.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use milena::broker::Broker;
use milena::{Client, Result};
use milena_examples::audit::Auditor;
use milena_examples::gateway::{Gateway, Outage};
use milena_examples::settings::{self, Settings};
use milena_examples::stages::{Shop, Stages};
use milena_examples::tally::{Audit, Tally};
use milena_examples::topics::Topics;
use milena_examples::watch::{Options, Watch};
use milena_examples::{progress, shop};
use tokio::time::Instant;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => settings::failed(&error),
    }
}

async fn run() -> Result<ExitCode> {
    let options = Options::read(std::env::args().skip(1))?;
    let settings = Settings::read()?;
    let tally = Tally::default();
    let watch = Watch::start(&options, &tally).await?;
    let (client, broker) = connect(&settings, &watch).await?;
    // A run of its own on a shared cluster.
    let run = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let prefix = format!("{}demo-{run}.", settings.prefix);
    let topics = Topics::with_prefix(&prefix);
    topics.set_up(&client, settings.partitions).await?;

    let audit = process(&client, &topics, &prefix, settings.orders, &tally, &watch).await;
    if broker.is_none() {
        topics.tear_down(&client).await?;
    }
    client.close().await;
    if let Some(broker) = broker {
        broker.shutdown().await;
    }
    let audit = audit?;
    println!("{audit}");
    let code = match audit.complaint() {
        None => {
            println!(
                "Every order was shipped or is a dead letter with its cause. Nothing was lost."
            );
            ExitCode::SUCCESS
        }
        Some(complaint) => {
            eprintln!("The sums do not agree: {complaint}.");
            ExitCode::FAILURE
        }
    };
    watch.end(LAST_FIGURES).await?;
    Ok(code)
}

async fn connect(settings: &Settings, watch: &Watch) -> Result<(Client, Option<Broker>)> {
    if settings.bootstrap.is_some() {
        let client = watch.client(settings.client("order-system"));
        return Ok((client.connect().await?, None));
    }
    let broker = Broker::builder()
        .listen("127.0.0.1:0")
        .brokers(3)
        .start()
        .await?;
    let bootstrap = broker.bootstrap();
    println!(
        "An embedded broker of 3 nodes listens at {}.",
        bootstrap.join(", ")
    );
    let client = Client::builder()
        .bootstrap(bootstrap)
        .client_id("order-system");
    let client = watch.client(client).connect().await?;
    Ok((client, Some(broker)))
}

async fn process(
    client: &Client,
    topics: &Topics,
    prefix: &str,
    orders: u64,
    tally: &Tally,
    watch: &Watch,
) -> Result<Audit> {
    let outage = Outage {
        after: orders * 2 / 5,
        lasting: Duration::from_millis(1_500),
    };
    let shop = Shop {
        topics: topics.clone(),
        producer: watch.writer(client.producer().build()?),
        gateway: Gateway::new(Some(outage)),
        tally: tally.clone(),
    };
    let started = Instant::now();
    let stages = Stages::start(client, &shop, prefix)?;
    let progress = tokio::spawn(progress::show(
        tally.clone(),
        Some(stages.payments()),
        started,
    ));

    let mut auditor = Auditor::start(client, topics).await?;
    let placing = shop::place_orders(&shop.producer, topics, orders, tally);
    let following = auditor.follow(PATIENCE, |audit| audit.ended() >= orders);
    let (placed, followed) = tokio::join!(placing, following);
    let elapsed = started.elapsed();
    // What is still on its way: repeats, if any, and payments that were read after their shipments.
    let dead_letters = stages.stop().await?;
    auditor
        .follow(PATIENCE, |audit| {
            audit.paid.records() >= tally.paid()
                && audit.shipped.records() >= tally.shipped()
                && audit.dead_letters.records() >= dead_letters
        })
        .await?;
    progress.abort();
    progress::end();
    placed?;
    followed?;
    for what in &auditor.strange {
        eprintln!("strange: {what}");
    }
    Ok(Audit {
        placed: tally.placed(),
        paid: auditor.paid.count(),
        shipped: auditor.shipped.count(),
        retried: tally.retried(),
        dead_lettered: auditor.dead_letters.count(),
        lost: auditor.lost(orders),
        duplicated: auditor.paid.again + auditor.shipped.again + auditor.dead_letters.again,
        strange: auditor.strange.len() as u64,
        records: tally.placed() + tally.validated() + tally.paid() + tally.shipped() + dead_letters,
        elapsed,
    })
}

/// How long the last figures can be scraped.
const LAST_FIGURES: Duration = Duration::from_secs(30);
/// How long nothing may arrive before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);
