//! The settings of librdkafka, for its C interface and for its wrapper.

use crate::case::{Codec, Job};

/// Returns every setting that differs from librdkafka's defaults.
pub(super) fn settings(job: &Job) -> Vec<(&'static str, String)> {
    let mut set = vec![
        ("bootstrap.servers", job.bootstrap.clone()),
        ("acks", "all".to_owned()),
        ("enable.idempotence", job.idempotent().to_string()),
    ];
    if job.codec != Codec::None {
        set.push(("compression.codec", job.codec.name()));
    }
    if job.keys {
        set.push(("partitioner", "murmur2_random".to_owned()));
    }
    if let Some(bytes) = job.batch_size {
        set.push(("batch.size", bytes.to_string()));
    }
    if job.tuned() {
        // For latency, records must not linger. For throughput, batches must be full and the queue
        // must never run empty.
        let linger = if job.rate.is_some() { 0 } else { 5 };
        set.push(("linger.ms", linger.to_string()));
        set.push(("batch.num.messages", "100000".to_owned()));
        set.push(("queue.buffering.max.messages", "2000000".to_owned()));
        set.push(("queue.buffering.max.kbytes", "1048576".to_owned()));
        if job.codec == Codec::Zstd {
            set.push(("compression.level", "1".to_owned()));
        }
    }
    set
}

/// Formats the settings for the results, without the address of the target.
pub(super) fn told(job: &Job) -> String {
    let settings = settings(job);
    crate::clients::listed(settings.get(1..).unwrap_or_default())
}
