//! The smallest consumer. Prints the records of the topic `letters` as a member of the group
//! `readers`, until Ctrl-C.
//!
//! `MILENA_BOOTSTRAP` sets the cluster, `TOPIC` another topic, and `GROUP` another group.

use std::process::ExitCode;

use clap::Parser;
use milena::{ConsumerRecord, Result, shutdown_signal};
use milena_examples::settings::{self, Settings};

#[tokio::main]
async fn main() -> ExitCode {
    settings::end(run(Settings::parse()).await)
}

async fn run(settings: Settings) -> Result<()> {
    let client = settings.connect("consumer").await?;
    let consumer = client.consumer(settings.group).topics([settings.topic]);
    let consumer = consumer.build()?;
    let report = consumer.run_until(print, shutdown_signal()).await?;
    eprintln!("{} records", report.processed);
    client.close().await;
    Ok(())
}

async fn print(record: ConsumerRecord) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let [key, value] = [&record.key, &record.value]
        .map(|bytes| bytes.as_deref().map_or_else(|| "-".to_owned(), text));
    println!(
        "{}-{} at {}: {key} {value}",
        record.topic, record.partition, record.offset
    );
}
