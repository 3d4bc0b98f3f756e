//! The options of `milena consume`.

use clap::Args;

use crate::commands::places::{From, Until, from, until};
use crate::format::RecordFormat;

/// The records to read, and the form to write them in.
#[derive(Debug, Args)]
pub(crate) struct Consume {
    /// The topic to read.
    pub(super) topic: String,
    /// Begins at the first record. Without this and --offset, only new records are read.
    #[arg(long, conflicts_with = "offset")]
    pub(super) from_beginning: bool,
    /// Begins at beginning, end, an offset, -N for the last N offsets of each partition, or @TIME.
    /// Offsets of removed records and of transaction markers count too, so that -N may show fewer
    /// than N records.
    #[arg(long, value_name = "WHERE", value_parser = from, allow_hyphen_values = true)]
    pub(super) offset: Option<From>,
    /// Reads only this partition. May be given several times.
    #[arg(short, long = "partition", value_name = "N")]
    pub(super) partitions: Vec<u32>,
    /// Reads as a member of this group, and goes on where the group was. Commits the shown records
    /// about once a second, when partitions go to other members, and at the end.
    #[arg(short, long, value_name = "GROUP", conflicts_with_all = ["partitions", "offset"])]
    pub(super) group: Option<String>,
    /// Ends after this many records.
    #[arg(short, long, value_name = "N")]
    pub(super) count: Option<u64>,
    /// Ends at the present end of the topic, or at the first record of each partition written at
    /// this time or later.
    #[arg(long, value_name = "end|TIME", value_parser = until)]
    pub(super) until: Option<Until>,
    /// Shows only records with this key. * stands for any bytes.
    #[arg(long, value_name = "PATTERN")]
    pub(super) key: Option<String>,
    /// Shows only records with this header. If a pattern is given, its last value must match. May
    /// be given several times, and then all must hold.
    #[arg(long = "header", value_name = "NAME[=PATTERN]")]
    pub(super) headers: Vec<String>,
    /// Shows only records with this value. * stands for any bytes.
    #[arg(long, value_name = "PATTERN")]
    pub(super) value: Option<String>,
    /// The format of a record, such as '%k %v\n'. %t is the topic, %p partition, %o offset, %T
    /// timestamp, %D date, %k key, %v value, %K and %V their lengths, %h headers, %h{name} one
    /// header. %k{hex}, {base64} and {json} encode.
    #[arg(short, long, value_name = "FORMAT", default_value = "%v\\n")]
    pub(super) format: RecordFormat,
    /// Writes keys, with this text between key and value.
    #[arg(short = 'K', long, value_name = "TEXT", conflicts_with = "format")]
    pub(super) key_separator: Option<String>,
    /// The text for a null key or value.
    #[arg(long, value_name = "TEXT")]
    pub(super) null: Option<String>,
    /// Also shows records of transactions that are open or were aborted.
    #[arg(long)]
    pub(super) read_uncommitted: bool,
}
