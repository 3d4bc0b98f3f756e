//! The options for sending records, which are acknowledgement, compression and partitioning.

use clap::{Args, ValueEnum};
use milena::producer::partitioner::{NAMES, by_name};
use milena::{Acks, Compression, Producer};

use crate::failure::Failure;
use crate::session::Session;

/// The options for sending records.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// The compression of batches.
    #[arg(short = 'z', long, value_enum, default_value = "none")]
    compression: Codec,
    /// The replicas that must have a record before it counts as written (all, 1 or 0).
    #[arg(long, value_name = "ACKS", default_value = "all", value_parser = acks)]
    acks: Acks,
    /// The client whose scheme chooses the partition of a key. `milena partition` lists them.
    #[arg(long, value_name = "NAME", default_value = "java", value_parser = clap::builder::PossibleValuesParser::new(NAMES))]
    partitioner: String,
    /// The largest size of a record and of a request, in bytes. The topic's max.message.bytes
    /// applies as well.
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20, value_parser = most)]
    max_request_size: usize,
}

/// A compression codec by its name on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl How {
    /// Returns the largest size of a record in bytes.
    pub(super) fn most(&self) -> usize {
        self.max_request_size
    }

    /// Makes a producer with these options.
    pub(in crate::commands) fn producer(&self, session: &Session) -> Result<Producer, Failure> {
        let compression = match self.compression {
            Codec::None => Compression::None,
            Codec::Gzip => Compression::GZIP,
            Codec::Snappy => Compression::Snappy,
            Codec::Lz4 => Compression::LZ4,
            Codec::Zstd => Compression::ZSTD,
        };
        let builder = session.client.producer().acks(self.acks);
        let builder = builder
            .compression(compression)
            .max_request_size(self.max_request_size)
            .max_block(session.global.timeout);
        let builder = match by_name(&self.partitioner) {
            Some(scheme) if self.partitioner != "java" => builder.partitioner(scheme),
            _ => builder,
        };
        Ok(builder.build()?)
    }
}

fn acks(text: &str) -> Result<Acks, String> {
    match text {
        "all" | "-1" => Ok(Acks::All),
        "1" => Ok(Acks::Leader),
        "0" => Ok(Acks::None),
        _ => Err(format!("'{text}' is not one of all, 1, 0")),
    }
}

fn most(text: &str) -> Result<usize, String> {
    let bytes = text.parse().ok().filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| format!("'{text}' is not a number of bytes above 0"))
}
