//! `milena sarama-producer`, which writes one record.

use std::io::{IsTerminal, Read};

use milena::core::Partition;
use milena::producer::partitioner::by_name;
use milena::{Client, Headers, ProducerRecord};

use super::flags::{Flag, Flags, switch, value};
use super::{Ended, connect, print};
use crate::failure::Failure;

pub(super) const FLAGS: &[Flag] = &[
    value(
        "brokers",
        "the brokers, separated by commas; or set KAFKA_PEERS",
    ),
    value("headers", "the headers of the record: foo:bar,bar:foo"),
    value("key", "the key of the record"),
    value("partition", "the partition to write to (default -1)"),
    value("partitioner", "the scheme: hash, manual or random"),
    switch("silent", "does not print topic, partition and offset"),
    value("topic", "required: the topic to write to"),
    value(
        "value",
        "required: the value of the record; or give it on standard input",
    ),
    switch("verbose", "prints more on stderr"),
];

pub(super) async fn run(flags: Flags) -> Result<(), Ended> {
    let usage = |words: &str| Ended::Usage(words.to_owned());
    let unnamed = "no -brokers specified. Alternatively, set the KAFKA_PEERS environment variable";
    if flags.value("brokers").is_none() && std::env::var("KAFKA_PEERS").is_err() {
        return Err(usage(unnamed));
    }
    let topic = flags
        .value("topic")
        .ok_or_else(|| usage("no -topic specified"))?;
    let partition: i32 = match flags.value("partition") {
        None => -1,
        Some(text) => {
            let parsed = text.parse();
            parsed.map_err(|_| Ended::Usage(format!("invalid value \"{text}\" for -partition")))?
        }
    };
    let partition = Partition::from_wire(partition);
    let mut record = ProducerRecord::new(topic);
    let scheme = match (flags.value("partitioner"), partition) {
        (None, Some(_)) | (Some("manual"), Some(_)) => {
            record.partition = partition;
            "java"
        }
        (Some("manual"), None) => {
            return Err(usage("-partition is required when partitioning manually"));
        }
        (None | Some("hash"), _) => "sarama-hash",
        (Some("random"), _) => "random",
        (Some(other), _) => {
            return Err(Ended::Usage(format!("Partitioner {other} not supported.")));
        }
    };
    record.record.key = flags.value("key").map(|key| key.as_bytes().to_vec().into());
    record.record.value = Some(content(&flags)?.into());
    if let Some(text) = flags.value("headers") {
        record.record.headers = headers(text)?;
    }
    let client = connect(&flags, unnamed, "Failed to open Kafka producer").await?;
    let result = send(&client, record, scheme).await;
    client.close().await;
    let line =
        result.map_err(|failure| Ended::Failed(format!("Failed to produce message: {failure}")))?;
    match flags.is_on("silent") {
        true => Ok(()),
        false => print(line.as_bytes()),
    }
}

/// Returns the value from the flags, or from standard input if that is not a terminal.
fn content(flags: &Flags) -> Result<Vec<u8>, Ended> {
    if let Some(value) = flags.value("value") {
        return Ok(value.as_bytes().to_vec());
    }
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        let words = "-value is required, or you have to provide the value on stdin";
        return Err(Ended::Usage(words.to_owned()));
    }
    let mut bytes = Vec::new();
    stdin.read_to_end(&mut bytes).map_err(|error| {
        Ended::NoInput(format!(
            "Failed to read data from the standard input: {error}"
        ))
    })?;
    Ok(bytes)
}

/// Reads headers as `name:value,name:value`.
fn headers(text: &str) -> Result<Headers, Ended> {
    let mut headers = Headers::new();
    for each in text.split(',') {
        let parts: Vec<&str> = each.split(':').collect();
        let [name, value] = parts[..] else {
            let words = "-header should be key:value. Example: -headers=foo:bar,bar:foo";
            return Err(Ended::Usage(words.to_owned()));
        };
        headers.push(name.as_bytes().to_vec(), value.as_bytes().to_vec());
    }
    Ok(headers)
}

/// Sends the record, and returns the line to print.
async fn send(client: &Client, record: ProducerRecord, scheme: &str) -> Result<String, Failure> {
    client
        .admin()
        .describe_topics([record.topic.clone()])
        .await?
        .all()?;
    let builder = client.producer();
    let builder = match by_name(scheme) {
        Some(scheme) => builder.partitioner(scheme),
        None => builder,
    };
    let sent = builder.build()?.send(record).await?;
    let offset = sent.offset.map_or(-1, milena::Offset::to_wire);
    let (topic, partition) = (&sent.topic, sent.partition);
    Ok(format!(
        "topic={topic}\tpartition={partition}\toffset={offset}\n"
    ))
}
