//! The clients' ways to consume: one file each, all counted alike.

mod confluent_kafka;
mod krafka;
mod librdkafka;
mod librdkafka_c;
mod milena;
mod rdkafka;
mod rskafka;

use crate::case::{Client, ConsumeJob};
use crate::consume::board::Board;

/// Consumes until the board says that it is over.
pub(super) fn run(job: &ConsumeJob, board: &std::sync::Arc<Board>) -> Result<(), String> {
    match job.client {
        Client::Milena => block_on(job, milena::consume(job, board)),
        Client::LibrdkafkaC => librdkafka_c::consume(job, board),
        Client::RdkafkaBase => rdkafka::poll(job, board),
        Client::RdkafkaStream => block_on(job, rdkafka::stream(job, board)),
        Client::ConfluentKafka => block_on(job, confluent_kafka::consume(job, board)),
        Client::Krafka => block_on(job, krafka::consume(job, board)),
        Client::Rskafka => block_on(job, rskafka::consume(job, board)),
        Client::MilenaBatch | Client::MilenaThread | Client::RdkafkaFuture => {
            Err("a producer's interface".to_owned())
        }
    }
}

/// All asynchronous clients get the same runtime, and their loop a task on it.
fn block_on(
    job: &ConsumeJob,
    work: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if job.cores.is_empty() {
        cores
    } else {
        job.cores.len()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(text)?;
    runtime.block_on(work)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Settings as one line.
fn listed<V: std::fmt::Display>(settings: &[(&str, V)]) -> String {
    let each = settings.iter().map(|(key, value)| format!("{key}={value}"));
    each.collect::<Vec<_>>().join(" ")
}

/// A group that nobody else is in.
fn group() -> String {
    format!("compare-{}", std::process::id())
}

/// Where to begin: at the first record, or behind the last where records are being written meanwhile.
fn from_end(job: &ConsumeJob) -> bool {
    job.clock == crate::case::Due::InValue
}
