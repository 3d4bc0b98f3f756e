//! Which protocol a member speaks: as it was told, or as the cluster and the group allow.

use milena_core::{Error, ErrorCode, ErrorKind, Result};
use milena_pool::Role;
use milena_protocol::ApiKey;
use tokio::time::sleep;

use super::clash::describe;
use crate::core::Core;
use crate::passing::passes;

/// How the members of a group find out who reads what (`group.protocol`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The consumer protocol where the cluster has finalised it (`group.version`), else the classic one; beside classic members
    /// always the classic one, so that a group is never mixed. An assignor that was named or added implies the classic one. The
    /// default.
    #[default]
    Auto,
    /// Members assign among themselves, by an assignor that all offer.
    Classic,
    /// The coordinator assigns (KIP-848): a change moves only what it must, and nobody waits for the others. Session and heartbeat
    /// times are the broker's.
    Consumer,
}

/// What a member speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    Classic,
    Consumer,
}

/// Chooses; asks the coordinator where that is needed, until it answers.
///
/// # Errors
/// What the coordinator refuses, and waiting does not mend.
pub(super) async fn choose(core: &Core) -> Result<Chosen> {
    let settings = &core.settings.membership;
    match settings.protocol {
        GroupProtocol::Consumer => return Ok(Chosen::Consumer),
        GroupProtocol::Classic => return Ok(Chosen::Classic),
        GroupProtocol::Auto if settings.has_assignors() => return Ok(Chosen::Classic),
        GroupProtocol::Auto => {}
    }
    let mut attempt = 0;
    loop {
        let error = match ask(core).await {
            Ok(chosen) => return Ok(chosen),
            Err(error) => error,
        };
        if !passes(&error) {
            return Err(error);
        }
        tracing::debug!(group = core.settings.group_name(), %error, "the coordinator is asked again");
        core.relocate();
        sleep(core.cluster.backoff().delay(attempt)).await;
        attempt += 1;
    }
}

async fn ask(core: &Core) -> Result<Chosen> {
    let connection = core.coordinator(Role::Heartbeat).await?;
    let versions = connection.versions();
    let finalised = versions
        .finalized("group.version")
        .is_some_and(|level| level >= 1);
    if !finalised || !versions.supports(ApiKey::ConsumerGroupHeartbeat) {
        return Ok(Chosen::Classic);
    }
    match describe(core).await {
        Ok(group) if matches!(group.group_state.as_str(), "Dead" | "Empty" | "") => {
            Ok(Chosen::Consumer)
        }
        // There are classic members: to join by the other protocol would mix the group.
        Ok(_) => Ok(Chosen::Classic),
        Err(error) => match error.code() {
            // No group yet, or not a classic one.
            Some(ErrorCode::GROUP_ID_NOT_FOUND) => Ok(Chosen::Consumer),
            _ => Err(error),
        },
    }
}

/// A refusal of the consumer protocol, with the setting that it is about.
pub(super) fn refused(code: ErrorCode, why: Option<&str>) -> Error {
    let error = Error::broker(code).api("ConsumerGroupHeartbeat");
    let error = match code {
        ErrorCode::UNSUPPORTED_ASSIGNOR => error.setting("group.remote.assignor"),
        ErrorCode::INVALID_REGULAR_EXPRESSION => error.setting("topic_pattern"),
        ErrorCode::INVALID_GROUP_ID => error.setting("group.id"),
        ErrorCode::GROUP_ID_NOT_FOUND | ErrorCode::UNSUPPORTED_VERSION => {
            error.setting("group.protocol")
        }
        _ => error,
    };
    match why {
        Some(why) => error.with_source(Error::new(ErrorKind::Config, why.to_owned())),
        None => error,
    }
}
