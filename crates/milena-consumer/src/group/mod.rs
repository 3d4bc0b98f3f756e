//! The task of a group member. It joins the group, takes and gives back partitions, and leaves at
//! the end.

mod beats;
mod clash;
mod classic;
pub(crate) mod classic_heartbeat;
mod consumer;
mod epoch;
mod handover;
mod join;
mod lead;
mod leave;
mod listener;
pub(crate) mod member;
mod metadata;
mod options;
mod protocol;
mod requests;
pub(crate) mod settings;
pub(crate) mod signals;
pub(crate) mod standing;
pub(crate) mod subscription;
mod verbs;
pub(crate) mod verdict_watch;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use milena_core::{Error, ErrorCode, ErrorKind, Result};
use milena_lanes::caught;
use milena_pool::Cluster;
use tokio::time::sleep;

use crate::core::Core;
use crate::supervise::GROUP;
use handover::Handover;
use leave::leave;
use protocol::{Chosen, choose};
use signals::Signals;

pub use listener::RebalanceListener;

/// Runs the membership of the group until the consumer closes or an error ends it.
///
/// An error releases every partition as lost, leaves the group and ends the consumer. A member that
/// stopped without leaving would keep its partitions until its session ends.
pub(crate) async fn run(core: Arc<Core>) {
    let lived = caught(GROUP, live(&core)).await;
    let Err(error) = lived.flatten() else { return };
    let error = name_instance(core.settings.instance.as_deref(), error);
    Handover::of(&core).lose_all().await;
    core.membership.send_replace(None);
    if error.kind() != ErrorKind::Fenced {
        // The coordinator gave this instance id to another consumer. Leaving now would remove that
        // consumer from the group.
        leave(&core.coordinator, &core.group, &core.settings).await;
    }
    core.lifecycle.fail(error);
}

/// Lives as a member under the chosen protocol. Chooses again if the group turns out to speak the
/// other one.
async fn live(core: &Arc<Core>) -> Result<()> {
    let mut before = None;
    let (mut same, mut attempt) = (0, 0);
    loop {
        let chosen = tokio::select! {
            chosen = async {
                topics_exist(&core.group, &core.cluster).await?;
                choose(&core.coordinator, &core.settings.membership).await
            } => chosen?,
            () = core.lifecycle.closing().cancelled() => return Ok(()),
        };
        let coordinated = chosen == Chosen::Consumer;
        core.group.coordinated.store(coordinated, Ordering::Release);
        let lived = match chosen {
            Chosen::Classic => classic::live(core).await,
            Chosen::Consumer => consumer::live(core).await,
        };
        let error = match lived {
            Err(error) if core.settings.membership.is_auto() && is_of_the_other_kind(&error) => {
                error
            }
            lived => return lived,
        };
        same = if before == Some(chosen) { same + 1 } else { 0 };
        if same > 0 && (chosen == Chosen::Classic || same >= TRIES) {
            // The protocol was chosen afresh and is the same, so the refusal has another cause.
            return Err(error);
        }
        before = Some(chosen);
        let group = core.settings.group_name();
        tracing::info!(group, %error, "the group may use the other protocol: the protocol is chosen again");
        Handover::of(core).lose_all().await;
        core.membership.send_replace(None);
        *core.group.known_as.lock() = None;
        attempt += 1;
        tokio::select! {
            () = sleep(core.cluster.backoff().delay(attempt)) => {}
            () = core.lifecycle.closing().cancelled() => return Ok(()),
        }
    }
}

/// Adds the value of `group.instance.id` to a fencing error, so that the user can find the other
/// consumer.
fn name_instance(instance: Option<&str>, error: Error) -> Error {
    match instance {
        Some(instance) if error.kind() == ErrorKind::Fenced => {
            let what = format!("{}: `{instance}`", error.message());
            Error::new(ErrorKind::Fenced, what)
                .setting("group.instance.id")
                .with_source(error)
        }
        _ => error,
    }
}

/// Number of times in a row that the consumer protocol is chosen again after a refusal that
/// suggests the classic one. After that, the refusal is returned.
const TRIES: u32 = 3;

/// Returns true if a refusal may mean that the group's members speak the other protocol.
fn is_of_the_other_kind(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::GROUP_ID_NOT_FOUND
                | ErrorCode::UNSUPPORTED_VERSION
                | ErrorCode::INCONSISTENT_GROUP_PROTOCOL
        )
    )
}

/// Checks before the member joins that the subscribed topics exist. Returns an error that names the
/// first missing topic.
async fn topics_exist(signals: &Signals, cluster: &Cluster) -> Result<()> {
    let wanted = signals.subscription.borrow().clone();
    if wanted.pattern.is_some() {
        signals.follow(cluster, &wanted);
        cluster.refresh().await?;
    }
    for topic in &wanted.topics {
        cluster.topic(topic).await?;
    }
    Ok(())
}
