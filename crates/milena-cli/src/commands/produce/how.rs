//! The options for sending records, which are acknowledgement, compression and partitioning.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use milena::core::{Codec, PartitionerName};
use milena::producer::partitioner::named;
use milena::{Acks, Producer};

use crate::failure::Failure;
use crate::session::Session;

/// The options for sending records.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// The compression of batches.
    #[arg(short = 'z', long, default_value = "none", value_parser = PossibleValuesParser::new(Codec::NAMES).try_map(|name| name.parse::<Codec>()))]
    compression: Codec,
    /// The replicas that must have a record before it counts as written (all, 1 or 0).
    #[arg(long, value_name = "ACKS", default_value = "all")]
    acks: Acks,
    /// The client whose scheme chooses the partition of a key. `milena partition` lists them.
    #[arg(long, value_name = "NAME", default_value = "java", value_parser = PossibleValuesParser::new(PartitionerName::NAMES).try_map(|name| name.parse::<PartitionerName>()))]
    partitioner: PartitionerName,
    /// The largest size of a record and of a request, in bytes. The topic's max.message.bytes
    /// applies as well.
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20, value_parser = most)]
    max_request_size: usize,
}

impl How {
    /// Returns the largest size of a record in bytes.
    pub(super) fn most(&self) -> usize {
        self.max_request_size
    }

    /// Makes a producer with these options.
    pub(in crate::commands) fn producer(&self, session: &Session) -> Result<Producer, Failure> {
        let builder = session.client.producer().acks(self.acks);
        let builder = builder
            .compression(self.compression.into())
            .max_request_size(self.max_request_size)
            .max_block(session.global.timeout);
        let builder = match self.partitioner {
            PartitionerName::Java => builder,
            name => builder.partitioner(named(name)),
        };
        Ok(builder.build()?)
    }
}

fn most(text: &str) -> Result<usize, String> {
    let bytes = text.parse().ok().filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| format!("'{text}' is not a number of bytes above 0"))
}
