//! Handles orders until Ctrl-C or SIGTERM, then ends in good order: handlers finish, offsets are committed, nothing is lost.
//!
//! Start several to share the work. `make run-order-setup` comes first.

use std::process::ExitCode;

use milena::{Result, shutdown_signal};
use milena_examples::gateway::Gateway;
use milena_examples::settings::{self, Settings};
use milena_examples::stages::{Shop, Stages};
use milena_examples::tally::Tally;
use milena_examples::topics::Topics;
use milena_examples::watch::writer;

#[tokio::main]
async fn main() -> ExitCode {
    settings::log();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => settings::failed(&error),
    }
}

async fn run() -> Result<()> {
    let settings = Settings::read()?;
    let client = settings.connect("order-consumer").await?;
    let shop = Shop {
        topics: Topics::with_prefix(&settings.prefix),
        producer: writer(client.producer().build()?, 0.0),
        gateway: Gateway::new(None),
        tally: Tally::default(),
    };
    let stages = Stages::start(&client, &shop, &settings.prefix)?;
    println!("handling orders; Ctrl-C ends in good order");
    let ended = stages.run_until(shutdown_signal()).await;
    client.close().await;
    let (tally, dead_letters) = (&shop.tally, ended?);
    let (validated, paid, shipped) = (tally.validated(), tally.paid(), tally.shipped());
    println!("{validated} validated, {paid} paid, {shipped} shipped, {dead_letters} dead letters");
    Ok(())
}
