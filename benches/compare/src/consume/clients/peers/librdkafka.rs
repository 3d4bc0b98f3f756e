//! The settings of librdkafka, for its C interface and for its wrapper.

use crate::case::{ConsumeJob, Mode};

/// Returns every setting that differs from librdkafka's defaults.
pub(super) fn settings(job: &ConsumeJob) -> Vec<(&'static str, String)> {
    let mut set = vec![
        ("bootstrap.servers", job.bootstrap.clone()),
        // librdkafka requires the name of a group, even if no group is joined.
        ("group.id", crate::consume::clients::group()),
        // The check is off by default. The other clients check.
        ("check.crcs", "true".to_owned()),
        ("enable.auto.offset.store", "false".to_owned()),
    ];
    let reset = if crate::consume::clients::from_end(job) {
        "latest"
    } else {
        "earliest"
    };
    set.push(("auto.offset.reset", reset.to_owned()));
    if job.mode == Mode::Handler {
        set.push(("auto.commit.interval.ms", "1000".to_owned()));
    } else {
        set.push(("enable.auto.commit", "false".to_owned()));
    }
    if job.tuned() {
        set.push(("fetch.queue.backoff.ms", "0".to_owned()));
        set.push(("queued.min.messages", "1000000".to_owned()));
        set.push(("max.partition.fetch.bytes", "4194304".to_owned()));
    }
    set
}

/// Formats the settings for the results, without the address of the target and the group's name.
pub(super) fn told(job: &ConsumeJob) -> String {
    let settings = settings(job);
    crate::clients::listed(settings.get(2..).unwrap_or_default())
}
