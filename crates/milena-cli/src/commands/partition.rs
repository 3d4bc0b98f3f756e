//! `milena partition`, which shows the partition of a key under every client's scheme.

use clap::Args;
use milena::core::PartitionerName;
use milena::producer::partitioner::named;
use milena::producer::{Choice, Partitioning};
use serde_json::{Value, json};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::{self, Format, Table};
use crate::session::Session;

/// The key, and the number of partitions.
#[derive(Debug, Args)]
pub(crate) struct Partition {
    /// The key.
    key: String,
    /// The number of partitions.
    #[arg(short, long, value_name = "N", required_unless_present = "topic", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) partitions: Option<u32>,
    /// Takes the number of partitions of this topic.
    #[arg(long, value_name = "NAME", conflicts_with = "partitions")]
    topic: Option<String>,
    /// Shows only this scheme.
    #[arg(long, value_name = "NAME")]
    scheme: Option<PartitionerName>,
}

/// Shows the partitions for a number that was given, without a cluster.
pub(crate) fn offline(args: &Partition, global: &Global) -> Result<(), Failure> {
    let partitions = args.partitions.unwrap_or(1);
    show(args, partitions, Format::chosen(global.output))
}

/// Shows the partitions for the number that a topic has.
pub(super) async fn on_cluster(args: &Partition, session: &Session) -> Result<(), Failure> {
    let topic = args.topic.as_deref().unwrap_or_default();
    let partitions = session.partitions_of(topic).await?;
    show(args, partitions, session.format())
}

fn show(args: &Partition, partitions: u32, format: Format) -> Result<(), Failure> {
    let topic = args.topic.as_deref().unwrap_or("topic");
    let record = Partitioning::new(topic, Some(args.key.as_bytes()), None, partitions);
    let names = match &args.scheme {
        Some(name) => std::slice::from_ref(name),
        None => &PartitionerName::ALL[..],
    };
    let mut table = Table::new(&["scheme", "partition"]);
    for name in names {
        let choice: Value = match named(*name).choose(&record) {
            Choice::Partition(number) => json!(number),
            Choice::Sticky => json!("any, for a while"),
            Choice::Random => json!("any"),
            Choice::Refuse(why) => json!(format!("refused: {why}")),
        };
        table.row([json!(name.name()), choice]);
    }
    output::show(format, &table)
}
