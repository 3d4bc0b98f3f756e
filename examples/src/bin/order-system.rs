//! The whole order system in one process. Places orders, handles them, audits the result, and ends
//! with a table.
//!
//! It runs on an embedded broker, or on the cluster that `MILENA_BOOTSTRAP` names. There it deletes
//! its topics and its group at the end. The exit code is 1 if the sums do not agree, and 2 for a
//! wrong option or variable. `--http 127.0.0.1:0` serves health and metrics and prints the address.
//! `--otlp http://127.0.0.1:4318` exports the trace of every order.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use milena::broker::Broker;
use milena::{Client, Result};
use milena_examples::audit::Auditor;
use milena_examples::gateway::{Gateway, Outage};
use milena_examples::report::Report;
use milena_examples::settings::{self, Settings};
use milena_examples::stages::{self, Shop};
use milena_examples::tally::Tally;
use milena_examples::topics::Topics;
use milena_examples::watch::{Options, Watch, writer};
use milena_examples::{progress, shop};
use tokio::time::Instant;

/// Places orders, handles them, audits the result, and ends with a table. Runs on an embedded
/// broker if no cluster is named.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    settings: Settings,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { settings, options } = Arguments::parse();
    settings::end(run(settings, options).await)
}

async fn run(mut settings: Settings, options: Options) -> Result<()> {
    // The prefix separates this run from others on a shared cluster.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let run = since.unwrap_or_default().as_millis();
    settings.prefix += &format!("demo-{run}.");
    let shop = Shop {
        topics: Topics::with_prefix(&settings.prefix),
        gateway: Gateway::with(Outage {
            after: settings.orders * 2 / 5,
            lasting: Duration::from_millis(1_500),
        }),
    };
    let tally = Tally::new(&shop.topics, &shop.gateway);
    let watch = Watch::start(&options, &tally).await?;
    let broker = match settings.has_cluster() {
        true => None,
        false => Some(embedded(&mut settings).await?),
    };
    let client = watch.client(settings.client("order-system"));
    let client = client.connect().await?;
    let topics = shop.topics.clone();
    topics.set_up(&client, settings.partitions).await?.all()?;

    let report = process(&client, shop, &settings, &tally, watch.ratio()).await;
    if broker.is_none() {
        topics.tear_down(&client).await?;
        let group = group(&settings);
        client.admin().delete_groups([group]).await.all()?;
    }
    client.close().await;
    if let Some(broker) = broker {
        broker.shutdown().await;
    }
    let report = report?;
    println!("{report}");
    let verdict = report.verdict();
    if verdict.is_ok() {
        println!("Every order was shipped or is a dead letter with its cause. Nothing was lost.");
    }
    watch.end(LAST_FIGURES).await?;
    verdict
}

/// Starts a broker in this process, and sets it as the cluster of the settings.
async fn embedded(settings: &mut Settings) -> Result<Broker> {
    let broker = Broker::builder()
        .listen("127.0.0.1:0")
        .brokers(3)
        .start()
        .await?;
    let addresses = broker.bootstrap();
    println!(
        "An embedded broker of 3 nodes listens at {}.",
        addresses.join(", ")
    );
    settings.bootstrap = addresses.join(",");
    Ok(broker)
}

/// Places the orders, handles them, and returns the report.
async fn process(
    client: &Client,
    shop: Shop,
    settings: &Settings,
    tally: &Tally,
    traced: f64,
) -> Result<Report> {
    let (orders, topics) = (settings.orders, shop.topics.clone());
    let writer = writer(client, traced)?;
    let payments = stages::payments();
    let gate = payments.breaker().gate().clone();
    let consumer = stages::consumer(client, &topics, group(settings))?;
    let stop = consumer.shutdown_handle();
    let mut auditor = Auditor::start(client, &topics).await?;
    let started = Instant::now();

    let handling = consumer.run(stages::router(&shop, writer.clone(), payments));
    let following = async {
        let placing = shop::place_orders(&writer, &topics.orders, orders);
        let ended = auditor.follow(PATIENCE, |audit| audit.ended() >= orders);
        let (placed, ended) = tokio::join!(placing, ended);
        let elapsed = started.elapsed();
        stop.shutdown();
        ended.and(placed).map(|placed| (placed, elapsed))
    };
    let working = async { tokio::try_join!(handling, following) };
    let (_, (placed, elapsed)) = tokio::select! {
        done = working => done?,
        never = progress::show(tally, &gate) => match never {},
    };
    // Some records are still on their way. These are repeated ones, and payments that were read
    // after their shipments.
    let [_, valid, paid, shipped, dead_letters] = tally.written();
    let all = |audit: &Auditor| {
        audit.paid.records() >= paid
            && audit.shipped.records() >= shipped
            && audit.dead_letters.records() >= dead_letters
    };
    auditor.follow(PATIENCE, all).await?;
    for what in &auditor.strange {
        eprintln!("strange: {what}");
    }
    Ok(Report {
        placed,
        paid: auditor.paid.count(),
        shipped: auditor.shipped.count(),
        retried: tally.retried(),
        dead_lettered: auditor.dead_letters.count(),
        lost: auditor.lost(orders),
        duplicated: auditor.paid.again + auditor.shipped.again + auditor.dead_letters.again,
        strange: auditor.strange.len() as u64,
        records: placed + valid + paid + shipped + dead_letters,
        elapsed,
    })
}

/// Returns the group that handles the orders of this run.
fn group(settings: &Settings) -> String {
    format!("{}orders", settings.prefix)
}

/// The time in which the last figures can be scraped.
const LAST_FIGURES: Duration = Duration::from_secs(30);
/// The time without a record after which the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);
