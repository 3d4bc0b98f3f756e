//! Creates the missing topics of the order system on a cluster.

use std::process::ExitCode;

use clap::Parser;
use milena::Result;
use milena_examples::settings::{self, Settings};
use milena_examples::topics::Topics;

#[tokio::main]
async fn main() -> ExitCode {
    settings::end(run(Settings::parse()).await)
}

async fn run(settings: Settings) -> Result<()> {
    let client = settings.connect("order-setup").await?;
    let topics = Topics::with_prefix(&settings.prefix);
    for (topic, state) in topics.set_up(&client, settings.partitions).await? {
        println!("{topic}: {}", state?);
    }
    client.close().await;
    Ok(())
}
