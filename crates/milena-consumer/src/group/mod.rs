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

use milena_core::Result;
use milena_protocol::kafka::protocol::StrBytes;

use crate::core::{Core, End};
use protocol::{Chosen, choose};

pub(crate) use handover::HELD;
pub use listener::RebalanceListener;
pub use protocol::GroupProtocol;
pub(crate) use settings::GroupSettings;
pub use signals::GroupMembershipOperation;
pub(crate) use signals::Signals;

/// Lives as a member of the group until the consumer closes or cannot go on.
pub(crate) async fn run(core: Arc<Core>) {
    if let Err(error) = live(&core).await {
        let error = error.group(core.settings.group_name());
        handover::lose(&core, &core.partitions()).await;
        core.membership.send_replace(None);
        core.end(End::Failed(error));
    }
}

async fn live(core: &Arc<Core>) -> Result<()> {
    let chosen = tokio::select! {
        chosen = async {
            topics_exist(core).await?;
            choose(core).await
        } => chosen?,
        () = core.closing.cancelled() => return Ok(()),
    };
    match chosen {
        Chosen::Classic => classic::live(core).await,
        Chosen::Consumer => consumer::live(core).await,
    }
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
