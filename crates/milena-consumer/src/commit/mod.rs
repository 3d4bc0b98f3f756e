//! Commits the offsets of processed records, at each commit interval, when partitions are revoked,
//! and at close.

mod answer;
pub(crate) mod commits;
pub(crate) mod committed;
pub(crate) mod committer;
pub(crate) mod later;
pub(crate) mod offset_and_metadata;
mod sending;
mod turn;

use std::sync::Arc;

use milena_core::Result;
use tokio::time::{Instant, sleep_until};

use crate::core::Core;
use crate::passing::passes;
use committer::{Committer, Effort};

/// Commits at each interval if auto commit is on, and whenever queued offsets ask for it. Returns
/// when the consumer closes.
pub(crate) async fn run(core: Arc<Core>) {
    let mut due = Instant::now() + core.settings.commit_interval;
    let mut told = None;
    let committer = Committer::of(&core);
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            () = core.commits.later().wanted.notified() => {
                committer.flush().await;
                continue;
            }
            () = core.lifecycle.closing().cancelled() => return,
        }
        if core.commits.is_automatic() {
            let ended = committer
                .commit(&core.assignment.partitions(), Effort::INTERVAL)
                .await;
            tell(core.settings.group_name(), ended, &mut told);
        }
        due = Instant::now() + core.settings.commit_interval;
    }
}

/// Logs why automatic commits fail, once for each reason. Logs again when they succeed.
fn tell(group: &str, ended: Result<()>, told: &mut Option<String>) {
    let error = match ended {
        Ok(()) => {
            if told.take().is_some() {
                tracing::info!(group, "offsets are committed again");
            }
            return;
        }
        Err(error) => error,
    };
    let text = error.to_string();
    if told.as_ref() == Some(&text) {
        tracing::debug!(group, %error, "offsets are still not committed");
        return;
    }
    if passes(&error) {
        tracing::warn!(group, %error, "offsets are not committed for now");
    } else {
        tracing::error!(group, %error, "offsets cannot be committed");
    }
    *told = Some(text);
}
