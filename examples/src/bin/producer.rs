//! The smallest producer: writes each line of its standard input, or ten greetings on a terminal, to the topic `letters`.
//!
//! `MILENA_BOOTSTRAP` names the cluster, `TOPIC` another topic.

use std::io::IsTerminal;
use std::process::ExitCode;

use milena::admin::NewTopic;
use milena::{ErrorCode, ProducerRecord, Result};
use milena_examples::settings::{self, Settings};
use tokio::io::{AsyncBufReadExt, BufReader};

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
    let client = settings.connect("producer").await?;
    let created = client
        .admin()
        .create_topics([NewTopic::new(&settings.topic)])
        .await?;
    match created.all() {
        Err(error) if error.code() != Some(ErrorCode::TOPIC_ALREADY_EXISTS) => return Err(error),
        _ => {}
    }
    let producer = client.producer().build()?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let greetings = std::io::stdin().is_terminal();
    for number in 0u64.. {
        let line = match greetings {
            true if number < 10 => format!("Dear Milena, this is letter {number}."),
            true => break,
            false => match lines.next_line().await {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(cause) => return Err(settings::unreadable(cause)),
            },
        };
        let sent = producer
            .send(ProducerRecord::new(&settings.topic).value(line))
            .await?;
        let offset = sent
            .offset
            .map_or_else(String::new, |offset| format!(" at {offset}"));
        println!("{}-{}{offset}", sent.topic, sent.partition);
    }
    client.close().await;
    Ok(())
}
