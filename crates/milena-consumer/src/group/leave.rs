//! LeaveGroup: tells the coordinator at once, so that the others need not wait for the session to run out.

use std::time::Duration;

use milena_pool::Role;
use milena_protocol::ApiKey;
use milena_protocol::messages::LeaveGroupRequest;
use milena_protocol::messages::leave_group_request::MemberIdentity;
use tokio::time::timeout;

use super::classic::ClassicTask;
use super::text;

impl ClassicTask {
    /// Leaves, where that is wanted at the end; after partitions were given back, never before.
    pub(super) async fn leave(&mut self) {
        let instance = self.core.settings.instance.as_deref();
        let wanted = self.core.group.on_close.lock().leaves(instance.is_some());
        if self.member.id().is_empty() || !wanted {
            return;
        }
        let leaving = async {
            let connection = self.core.coordinator(Role::Heartbeat).await?;
            let version = connection.versions().negotiate(ApiKey::LeaveGroup)?;
            let request = self.leave_request(version);
            connection.call_version(&request, version, LEAVE).await
        };
        match timeout(LEAVE, leaving).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "leaving the group failed"),
            Err(_) => tracing::debug!("leaving the group took too long"),
        }
        self.member.forget(true);
    }

    fn leave_request(&self, version: i16) -> LeaveGroupRequest {
        let request = LeaveGroupRequest::default()
            .with_group_id(text(self.core.settings.group_name()).into());
        if version < LEAVE_MANY_FROM {
            return request.with_member_id(text(self.member.id()));
        }
        let identity = MemberIdentity::default()
            .with_member_id(text(self.member.id()))
            .with_group_instance_id(self.core.settings.instance.as_deref().map(text));
        request.with_members(vec![identity])
    }
}

/// How long leaving may take: at the end nobody wants to wait.
const LEAVE: Duration = Duration::from_secs(5);
/// The first version of LeaveGroup that lists members (KIP-345).
const LEAVE_MANY_FROM: i16 = 3;
