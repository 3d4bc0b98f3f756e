//! The clients, one file each, all driven by the same load.

mod milena;
mod milena_thread;
#[cfg(feature = "peers")]
pub(crate) mod peers;

pub(crate) use milena::compression;
use tokio::runtime::Runtime;

use crate::case::{Client, Job, Sample};

/// Runs the producer of a job in this process.
pub(crate) fn produce(job: &Job) -> Result<Sample, String> {
    match job.client {
        Client::Milena => block_on(job, milena::produce(job)),
        Client::MilenaBatch => block_on(job, milena::produce_batches(job)),
        Client::MilenaThread => milena_thread::produce(job),
        #[cfg(feature = "peers")]
        _ => peers::produce(job),
        #[cfg(not(feature = "peers"))]
        _ => Err(NO_PEERS.to_owned()),
    }
}

/// The error for other clients in a build without them.
#[cfg(not(feature = "peers"))]
pub(crate) const NO_PEERS: &str =
    "built without the feature `peers`, which brings the other clients";

fn block_on(
    job: &Job,
    work: impl Future<Output = Result<Sample, String>>,
) -> Result<Sample, String> {
    runtime(&job.cores)?.block_on(work)
}

/// Creates a runtime, which is the same for all asynchronous clients. It has a worker for each core
/// of the job.
pub(crate) fn runtime(cores: &[usize]) -> Result<Runtime, String> {
    let threads = match cores.len() {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        some => some,
    };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(text)
}

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Formats settings as one line.
pub(crate) fn listed<V: std::fmt::Display>(settings: &[(&str, V)]) -> String {
    let each = settings.iter().map(|(key, value)| format!("{key}={value}"));
    each.collect::<Vec<_>>().join(" ")
}
