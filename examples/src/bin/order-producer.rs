//! Places `ORDERS` orders, and prints how many the brokers acknowledged. Run `make run-order-setup`
//! first.

use std::process::ExitCode;

use clap::Parser;
use milena::Result;
use milena_examples::settings::{self, Settings};
use milena_examples::shop::place_orders;
use milena_examples::topics::Topics;
use milena_examples::watch::writer;

#[tokio::main]
async fn main() -> ExitCode {
    settings::end(run(Settings::parse()).await)
}

async fn run(settings: Settings) -> Result<()> {
    let client = settings.connect("order-producer").await?;
    let topics = Topics::with_prefix(&settings.prefix);
    let placed = place_orders(&writer(&client, 0.0)?, &topics.orders, settings.orders).await;
    client.close().await;
    println!("{} orders placed", placed?);
    Ok(())
}
