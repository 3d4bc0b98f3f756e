//! The task of a group member: joins, takes and gives back partitions, and leaves at the end.

mod clash;
mod classic;
mod handover;
mod join;
mod lead;
mod leave;
mod listener;
mod metadata;
mod options;
mod requests;
mod settings;
mod signals;
mod verbs;

use std::sync::Arc;

use milena_protocol::kafka::protocol::StrBytes;

use crate::core::{Core, End};

pub(crate) use handover::HELD;
pub use listener::RebalanceListener;
pub(crate) use settings::GroupSettings;
pub use signals::GroupMembershipOperation;
pub(crate) use signals::Signals;

/// Lives as a member of the group until the consumer closes or cannot go on.
pub(crate) async fn run(core: Arc<Core>) {
    let lived = classic::live(&core).await;
    if let Err(error) = lived {
        let error = error.group(core.settings.group_name());
        handover::lose(&core, &core.partitions()).await;
        core.membership.send_replace(None);
        core.end(End::Failed(error));
    }
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}
