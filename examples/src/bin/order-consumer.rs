//! Handles orders until Ctrl-C or SIGTERM, and then shuts down in order. Handlers finish, offsets
//! are committed, and no order is lost.
//!
//! Run `make run-order-setup` first. Start several consumers to share the work.
//! `--http 127.0.0.1:9404` serves health and metrics.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use milena::{Result, shutdown_signal};
use milena_examples::gateway::Gateway;
use milena_examples::settings::{self, Settings};
use milena_examples::stages::{self, Shop};
use milena_examples::tally::Tally;
use milena_examples::topics::Topics;
use milena_examples::watch::{Options, Watch, writer};

/// Handles orders until Ctrl-C or SIGTERM.
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

async fn run(settings: Settings, options: Options) -> Result<()> {
    let shop = Shop {
        topics: Topics::with_prefix(&settings.prefix),
        gateway: Gateway::default(),
    };
    let tally = Tally::new(&shop.topics, &shop.gateway);
    let watch = Watch::start(&options, &tally).await?;
    let client = watch.client(settings.client("order-consumer"));
    let client = client.connect().await?;
    let group = format!("{}orders", settings.prefix);
    let consumer = stages::consumer(&client, &shop.topics, group)?;
    let router = stages::router(&shop, writer(&client, watch.ratio())?, stages::payments());
    println!("handling orders; Ctrl-C shuts down in order");
    let ended = consumer.run_until(router, shutdown_signal()).await;
    client.close().await;
    watch.end(Duration::ZERO).await?;
    ended?;
    let [_, validated, paid, shipped, dead_letters] = tally.written();
    println!("{validated} validated, {paid} paid, {shipped} shipped, {dead_letters} dead letters");
    Ok(())
}
