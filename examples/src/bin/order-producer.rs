//! Places orders, `ORDERS` of them, and says how many the brokers acknowledged. `make run-order-setup` comes first.

use std::process::ExitCode;

use milena::Result;
use milena_examples::settings::{self, Settings};
use milena_examples::shop;
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
    let client = settings.connect("order-producer").await?;
    let topics = Topics::with_prefix(&settings.prefix);
    let tally = Tally::default();
    let writer = writer(client.producer().build()?, 0.0);
    let placed = shop::place_orders(&writer, &topics, settings.orders, &tally).await;
    client.close().await;
    println!("{} orders placed", tally.placed());
    placed
}
