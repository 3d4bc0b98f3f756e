//! The smallest consumer: prints the records of the topic `letters` as a member of the group `readers`, until Ctrl-C.
//!
//! `MILENA_BOOTSTRAP` names the cluster, `TOPIC` another topic, `GROUP` another group.

use std::process::ExitCode;

use milena::{ConsumerRecord, Result, shutdown_signal};
use milena_examples::settings::{self, Settings};

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
    let client = settings.connect("consumer").await?;
    let consumer = client
        .consumer(settings.group.as_str())
        .topics([&settings.topic])
        .build()?;
    let report = consumer.run_until(print, shutdown_signal()).await?;
    eprintln!("{} records", report.processed);
    client.close().await;
    Ok(())
}

async fn print(record: ConsumerRecord) {
    let text = |bytes: Option<&[u8]>| {
        bytes.map_or("-".into(), |bytes| {
            String::from_utf8_lossy(bytes).into_owned()
        })
    };
    let (key, value) = (text(record.key.as_deref()), text(record.value.as_deref()));
    println!(
        "{}-{} at {}: {key} {value}",
        record.topic, record.partition, record.offset
    );
}
