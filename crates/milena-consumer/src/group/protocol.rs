//! Chooses the group protocol of a member, from its settings or from what the cluster and the group
//! allow.

use milena_core::{Error, ErrorCode, ErrorKind, GroupProtocol, Result};
use milena_pool::Role;
use milena_protocol::ApiKey;
use tokio::time::sleep;

use super::clash::describe;
use crate::coordinator::Coordinator;
use crate::group::settings::GroupSettings;
use crate::passing::passes;

/// The protocol that a member uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    Classic,
    Consumer,
}

/// Chooses the protocol. If the settings leave it open, asks the coordinator until it answers.
///
/// # Errors
/// A refusal by the coordinator that does not go away by waiting.
pub(super) async fn choose(coordinator: &Coordinator, settings: &GroupSettings) -> Result<Chosen> {
    match settings.protocol {
        GroupProtocol::Consumer => return Ok(Chosen::Consumer),
        GroupProtocol::Classic => return Ok(Chosen::Classic),
        GroupProtocol::Auto if settings.has_assignors() => return Ok(Chosen::Classic),
        GroupProtocol::Auto => {}
    }
    let mut attempt = 0;
    loop {
        let error = match ask(coordinator).await {
            Ok(chosen) => return Ok(chosen),
            Err(error) => error,
        };
        if !passes(&error) {
            return Err(error);
        }
        tracing::debug!(group = coordinator.group_name(), %error, "the coordinator did not say which protocol the group uses; it is asked again");
        coordinator.forget();
        sleep(coordinator.backoff().delay(attempt)).await;
        attempt += 1;
    }
}

/// Asks the coordinator if the consumer protocol is available and if the group has classic members.
async fn ask(coordinator: &Coordinator) -> Result<Chosen> {
    let connection = coordinator.connection(Role::Heartbeat).await?;
    let versions = connection.versions();
    let finalised = versions
        .finalized("group.version")
        .is_some_and(|level| level >= 1);
    if !finalised || !versions.supports(ApiKey::ConsumerGroupHeartbeat) {
        return Ok(Chosen::Classic);
    }
    match describe(coordinator).await {
        Ok(group) if matches!(group.group_state.as_str(), "Dead" | "Empty" | "") => {
            Ok(Chosen::Consumer)
        }
        // The group has classic members. Joining by the consumer protocol would mix the two.
        Ok(_) => Ok(Chosen::Classic),
        Err(error) => match error.code() {
            // There is no such group yet, or it is not a classic one.
            Some(ErrorCode::GROUP_ID_NOT_FOUND) => Ok(Chosen::Consumer),
            _ => Err(error),
        },
    }
}

/// Turns a refusal of the consumer protocol into an error that names the setting to change.
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
