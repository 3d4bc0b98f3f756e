//! The consumers of the clients, one file each, all counted in the same way.

mod milena;
#[cfg(feature = "peers")]
mod peers;

use crate::case::{Client, ConsumeJob};
use crate::clients::runtime;
use crate::consume::board::Board;

/// Consumes until the board says that the measurement is over.
pub(super) fn run(job: &ConsumeJob, board: &std::sync::Arc<Board>) -> Result<(), String> {
    match job.client {
        Client::Milena => block_on(job, milena::consume(job, board)),
        #[cfg(feature = "peers")]
        _ => peers::run(job, board),
        #[cfg(not(feature = "peers"))]
        _ => Err(crate::clients::NO_PEERS.to_owned()),
    }
}

/// Runs an asynchronous client. All get the same runtime and a task on it.
fn block_on(
    job: &ConsumeJob,
    work: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    runtime(&job.cores)?.block_on(work)
}

/// Returns the name of a new group.
fn group() -> String {
    format!("compare-{}", std::process::id())
}

/// Returns true if reading begins at the end, because records are written at the same time.
fn from_end(job: &ConsumeJob) -> bool {
    job.clock == crate::case::Due::InValue
}
