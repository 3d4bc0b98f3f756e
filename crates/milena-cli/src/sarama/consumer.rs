//! `milena sarama-consumer`, which reads the partitions of a topic until it is interrupted.

use std::io::Write;

use milena::{Client, Partition, StartAt, TopicPartition};

use super::flags::{Flag, Flags, switch, value};
use super::{Ended, connect, print};
use crate::failure::Failure;
use crate::signals::Signals;

pub(super) const FLAGS: &[Flag] = &[
    value(
        "brokers",
        "the brokers, separated by commas; or set KAFKA_PEERS",
    ),
    value(
        "buffer-size",
        "accepted and ignored, because memory is counted in bytes (default 256)",
    ),
    value(
        "offset",
        "where to begin: oldest, newest (default \"newest\")",
    ),
    value(
        "partitions",
        "all, or numbers separated by commas (default \"all\")",
    ),
    value("topic", "required: the topic to read"),
    switch("verbose", "prints more on stderr"),
];

pub(super) async fn run(flags: Flags) -> Result<(), Ended> {
    let unnamed = "You have to provide -brokers as a comma-separated list, or set the KAFKA_PEERS environment variable.";
    if flags.value("brokers").is_none() && std::env::var("KAFKA_PEERS").is_err() {
        return Err(Ended::Usage(unnamed.to_owned()));
    }
    let topic = flags.value("topic");
    let topic = topic.ok_or_else(|| Ended::Usage("-topic is required".to_owned()))?;
    let start = match flags.value("offset") {
        Some("oldest") => StartAt::Beginning,
        None | Some("newest") => StartAt::End,
        Some(_) => {
            return Err(Ended::Usage(
                "-offset should be `oldest` or `newest`".to_owned(),
            ));
        }
    };
    let signals = Signals::watch();
    let client = connect(&flags, unnamed, "Failed to start consumer").await?;
    let partitions = partitions(&client, topic, flags.value("partitions")).await;
    let partitions = partitions.map_err(|failure| {
        Ended::Failed(format!("Failed to get the list of partitions: {failure}"))
    })?;
    let started = |error: milena::Error| {
        Ended::Failed(format!(
            "Failed to start consumer: {}",
            Failure::from(error)
        ))
    };
    let consumer = client.assigned_consumer().build().map_err(started)?;
    let places = partitions
        .into_iter()
        .map(|number| TopicPartition::new(topic, number));
    consumer.assign(places.map(|place| (place, start)));
    loop {
        let batch = tokio::select! {
            biased;
            () = signals.asked() => break,
            batch = consumer.recv_batch() => batch,
        };
        let failed = |error: milena::Error| Ended::Failed(Failure::from(error).to_string());
        let batch = batch.map_err(failed)?;
        let partition = batch.topic_partition().partition;
        let mut text = Vec::new();
        for record in batch.iter() {
            let record = record.map_err(failed)?;
            let head = format!(
                "Partition:\t{partition}\nOffset:\t{}\nKey:\t",
                record.offset
            );
            text.extend_from_slice(head.as_bytes());
            text.extend_from_slice(record.key.unwrap_or_default());
            text.extend_from_slice(b"\nValue:\t");
            text.extend_from_slice(record.value.unwrap_or_default());
            text.extend_from_slice(b"\n\n");
        }
        print(&text)?;
    }
    let _ = writeln!(std::io::stderr(), "Initiating shutdown of consumer...");
    consumer.close().await;
    client.close().await;
    let _ = writeln!(std::io::stderr(), "Done consuming topic {topic}");
    Ok(())
}

/// Returns the named partitions, or all partitions of the topic.
async fn partitions(
    client: &Client,
    topic: &str,
    named: Option<&str>,
) -> Result<Vec<Partition>, Failure> {
    if let Some(named) = named.filter(|named| *named != "all") {
        let numbers = named.split(',').map(|text| {
            let number = text.parse::<u32>().map(Partition::new);
            number.map_err(|_| Failure::usage(format!("'{text}' is not a partition number")))
        });
        return numbers.collect();
    }
    let described = client.admin().describe_topics([topic]).await?.all()?;
    let partitions = described.into_iter().flat_map(|topic| topic.partitions);
    Ok(partitions.map(|partition| partition.partition).collect())
}
