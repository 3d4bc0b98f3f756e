//! The smallest producer. Writes each line of its standard input, or ten greetings on a terminal,
//! to the topic `letters`.
//!
//! `MILENA_BOOTSTRAP` sets the cluster, and `TOPIC` another topic.

use std::io::{IsTerminal, stdin};
use std::process::ExitCode;

use clap::Parser;
use milena::admin::TopicManager;
use milena::serializer::TextCodec;
use milena::{Error, ErrorKind, ProducerBuilderExt, Result};
use milena_examples::settings::{self, Settings};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> ExitCode {
    settings::end(run(Settings::parse()).await)
}

async fn run(settings: Settings) -> Result<()> {
    let client = settings.connect("producer").await?;
    let topics = TopicManager::new(client.admin()).topic(settings.topic.as_str());
    topics.ensure().await?.all()?;
    let producer = client.producer().value::<str>(TextCodec).build()?;
    let letters = producer.topic(settings.topic);
    let send = async |letter: &str| {
        let sent = letters.send(None, Some(letter)).await?;
        let offset = sent.offset.map(|offset| format!(" at {offset}"));
        let offset = offset.unwrap_or_default();
        println!("{}-{}{offset}", sent.topic, sent.partition);
        Ok::<_, Error>(())
    };
    if stdin().is_terminal() {
        for number in 0..10 {
            send(&format!("Dear Milena, this is letter {number}.")).await?;
        }
    } else {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await.map_err(unreadable)? {
            send(&line).await?;
        }
    }
    client.close().await;
    Ok(())
}

fn unreadable(cause: std::io::Error) -> Error {
    let what = format!("standard input cannot be read: {cause}");
    Error::new(ErrorKind::State, what).with_source(cause)
}
