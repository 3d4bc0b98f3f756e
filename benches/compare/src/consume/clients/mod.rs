//! The clients' ways to consume: one file each, all counted alike.

mod milena;
#[cfg(feature = "peers")]
mod peers;

use crate::case::{Client, ConsumeJob};
use crate::clients::runtime;
use crate::consume::board::Board;

/// Consumes until the board says that it is over.
pub(super) fn run(job: &ConsumeJob, board: &std::sync::Arc<Board>) -> Result<(), String> {
    match job.client {
        Client::Milena => block_on(job, milena::consume(job, board)),
        #[cfg(feature = "peers")]
        _ => peers::run(job, board),
        #[cfg(not(feature = "peers"))]
        _ => Err(crate::clients::NO_PEERS.to_owned()),
    }
}

/// All asynchronous clients get the same runtime, and their loop a task on it.
fn block_on(
    job: &ConsumeJob,
    work: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    runtime(&job.cores)?.block_on(work)
}

/// A group that nobody else is in.
fn group() -> String {
    format!("compare-{}", std::process::id())
}

/// Where to begin: at the first record, or behind the last where records are being written meanwhile.
fn from_end(job: &ConsumeJob) -> bool {
    job.clock == crate::case::Due::InValue
}
