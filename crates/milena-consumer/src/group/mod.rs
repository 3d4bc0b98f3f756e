//! The task of a group member: joins, takes and gives back partitions, and leaves at the end.

mod beats;
mod clash;
mod classic;
mod consumer;
mod epoch;
mod handover;
mod join;
mod lead;
mod leave;
mod listener;
mod metadata;
mod options;
mod protocol;
mod requests;
mod settings;
mod signals;
mod verbs;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use milena_core::{Error, ErrorCode, ErrorKind, Result};
use milena_protocol::kafka::protocol::StrBytes;
use tokio::time::sleep;

use crate::core::Core;
use crate::supervise::{GROUP, caught};
use leave::leave;
use protocol::{Chosen, choose};

pub(crate) use handover::HELD;
pub use listener::RebalanceListener;
pub use protocol::GroupProtocol;
pub(crate) use settings::GroupSettings;
pub use signals::GroupMembershipOperation;
pub(crate) use signals::Signals;

/// Lives as a member of the group until the consumer closes or cannot go on.
///
/// Whatever ends it, the partitions are nobody's afterwards and the group is left: a member that only stopped would hold what it has
/// until its session ends.
pub(crate) async fn run(core: Arc<Core>) {
    let lived = caught(GROUP, live(&core)).await;
    let Err(error) = lived.flatten() else { return };
    let error = name_instance(&core, error);
    handover::lose(&core, &core.partitions()).await;
    core.membership.send_replace(None);
    if error.kind() != ErrorKind::Fenced {
        // A fenced one is no member: its id is another's.
        leave(&core).await;
    }
    core.fail(error);
}

async fn live(core: &Arc<Core>) -> Result<()> {
    let mut before = None;
    let (mut same, mut attempt) = (0, 0);
    loop {
        let chosen = tokio::select! {
            chosen = async {
                topics_exist(core).await?;
                choose(core).await
            } => chosen?,
            () = core.closing.cancelled() => return Ok(()),
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
            // Asked again, the cluster says the same: it is not about the kind.
            return Err(error);
        }
        before = Some(chosen);
        let group = core.settings.group_name();
        tracing::info!(group, %error, "the group turned out to be of the other kind: the protocol is chosen again");
        handover::lose(core, &core.partitions()).await;
        core.membership.send_replace(None);
        *core.group.known_as.lock() = None;
        attempt += 1;
        tokio::select! {
            () = sleep(core.cluster.backoff().delay(attempt)) => {}
            () = core.closing.cancelled() => return Ok(()),
        }
    }
}

/// A refusal of the instance id names its value, by which the other consumer can be found.
fn name_instance(core: &Core, error: Error) -> Error {
    match &core.settings.instance {
        Some(instance) if error.kind() == ErrorKind::Fenced => {
            let what = format!("{}: `{instance}`", error.message());
            Error::new(ErrorKind::Fenced, what)
                .setting("group.instance.id")
                .with_source(error)
        }
        _ => error,
    }
}

/// How often a group that seems to be of the other kind is asked for again while the cluster says that it is not.
const TRIES: u32 = 3;

/// Whether a refusal may mean that the group's members speak the other protocol.
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

/// A topic that does not exist is told at the start, with its name, and not waited for.
async fn topics_exist(core: &Core) -> Result<()> {
    let wanted = core.group.subscription.borrow().clone();
    if wanted.pattern.is_some() {
        core.group.follow(&core.cluster, &wanted);
        core.cluster.refresh().await?;
    }
    for topic in &wanted.topics {
        core.cluster.topic(topic).await?;
    }
    Ok(())
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}
