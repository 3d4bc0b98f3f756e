//! The clients: one file each, all driven by the same load.

mod confluent_kafka;
mod krafka;
mod librdkafka;
mod librdkafka_c;
mod milena;
mod milena_thread;
mod rdkafka_base;
mod rdkafka_future;
mod rskafka;

use crate::case::{Client, Job, Sample};

/// Runs a producer as the job says, in this process.
pub(crate) fn produce(job: &Job) -> Result<Sample, String> {
    match job.client {
        Client::Milena => block_on(job, milena::produce(job)),
        Client::MilenaBatch => block_on(job, milena::produce_batches(job)),
        Client::MilenaThread => milena_thread::produce(job),
        Client::LibrdkafkaC => librdkafka_c::produce(job),
        Client::RdkafkaBase => rdkafka_base::produce(job),
        Client::RdkafkaFuture => block_on(job, rdkafka_future::produce(job)),
        Client::ConfluentKafka => block_on(job, confluent_kafka::produce(job)),
        Client::Krafka => block_on(job, krafka::produce(job)),
        Client::RdkafkaStream => Err("a consumer's interface".to_owned()),
        Client::Rskafka => block_on(job, rskafka::produce(job)),
    }
}

/// All asynchronous clients get the same runtime: a worker for each core that is theirs.
fn block_on(
    job: &Job,
    work: impl Future<Output = Result<Sample, String>>,
) -> Result<Sample, String> {
    runtime(job)?.block_on(work)
}

fn runtime(job: &Job) -> Result<tokio::runtime::Runtime, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if job.cores.is_empty() {
        cores
    } else {
        job.cores.len()
    };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Settings as one line.
fn listed<V: std::fmt::Display>(settings: &[(&str, V)]) -> String {
    let each = settings.iter().map(|(key, value)| format!("{key}={value}"));
    each.collect::<Vec<_>>().join(" ")
}
