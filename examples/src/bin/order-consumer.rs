//! Handles orders until Ctrl-C or SIGTERM, then ends in good order: handlers finish, offsets are committed, nothing is lost.
//!
//! Start several to share the work. `make run-order-setup` comes first.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use milena::{Result, shutdown_signal};
use milena_examples::gateway::Gateway;
use milena_examples::settings::{self, Settings};
use milena_examples::stages::{self, Shop};
use milena_examples::tally::Tally;
use milena_examples::topics::Topics;
use milena_examples::watch::writer;

#[tokio::main]
async fn main() -> ExitCode {
    settings::end(run(Settings::parse()).await)
}

async fn run(settings: Settings) -> Result<()> {
    settings::log(None);
    let shop = Shop {
        topics: Topics::with_prefix(&settings.prefix),
        gateway: Gateway::default(),
    };
    let tally = Tally::new(&shop.topics, &shop.gateway);
    let client = settings.client("order-consumer");
    let client = client
        .add_observer(Arc::new(tally.clone()))
        .connect()
        .await?;
    let group = format!("{}orders", settings.prefix);
    let consumer = stages::consumer(&client, &shop.topics, group)?;
    let router = stages::router(&shop, writer(&client, 0.0)?, stages::payments());
    println!("handling orders; Ctrl-C ends in good order");
    let ended = consumer.run_until(router, shutdown_signal()).await;
    client.close().await;
    ended?;
    let [_, validated, paid, shipped, dead_letters] = tally.written();
    println!("{validated} validated, {paid} paid, {shipped} shipped, {dead_letters} dead letters");
    Ok(())
}
