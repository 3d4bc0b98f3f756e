//! Creates the topics of the order system on a cluster, where they are missing.

use std::process::ExitCode;

use milena::Result;
use milena_examples::settings::{self, Settings};
use milena_examples::topics::Topics;

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
    let client = settings.connect("order-setup").await?;
    let topics = Topics::with_prefix(&settings.prefix);
    let created = topics.set_up(&client, settings.partitions).await?;
    for topic in topics.all() {
        let state = if created.contains(topic) {
            "created"
        } else {
            "was there"
        };
        println!("{topic}: {state}");
    }
    client.close().await;
    Ok(())
}
