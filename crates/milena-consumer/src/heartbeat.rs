//! Heartbeats: on a task and a connection of their own, so that they wait for no handler, fetch or join.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorCode, Event, Result};
use milena_pool::Role;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::HeartbeatRequest;
use tokio::time::{Instant, sleep_until, timeout};

use crate::core::Core;
use crate::member::{Membership, Pulse, pulse};

/// Beats for each membership, from its start until the next; tells what the coordinator says.
pub(crate) async fn run(core: Arc<Core>) {
    let mut memberships = core.membership.subscribe();
    loop {
        let current = match memberships.wait_for(Option::is_some).await {
            Ok(current) => current.clone(),
            Err(_) => return,
        };
        let Some(current) = current else { continue };
        let mut other = core.membership.subscribe();
        tokio::select! {
            () = beat(&core, &current) => {}
            _ = other.wait_for(|now| now.as_ref() != Some(&current)) => {}
        }
    }
}

/// Beats until dropped.
async fn beat(core: &Core, membership: &Membership) {
    let interval = core.settings.heartbeat_interval;
    let mut alive = Instant::now();
    let mut next = alive + interval;
    let mut failures = 0;
    loop {
        sleep_until(next).await;
        let started = Instant::now();
        if stood_still(core, started.duration_since(alive), interval) {
            core.tell_verdict(membership, Pulse::Lost { forgotten: false });
            next = started + interval;
            continue;
        }
        let answer = once(core, membership).await;
        core.observers().emit(|| Event::Heartbeat {
            group: core.settings.group_name(),
            elapsed: started.elapsed(),
            error: answer.as_ref().err(),
        });
        let word = match &answer {
            Ok(()) => Pulse::Alive,
            Err(error) => match error.code() {
                Some(code) => pulse(Some(code)),
                None if error.is_retriable() => Pulse::Unsure { relocate: true },
                None => Pulse::Fail(error.clone()),
            },
        };
        next = started + interval;
        match word {
            Pulse::Alive | Pulse::Rebalance => {
                alive = started;
                failures = 0;
            }
            Pulse::Unsure { relocate } => {
                if relocate {
                    core.relocate();
                }
                next = Instant::now() + core.cluster.backoff().delay(failures).min(interval);
                failures += 1;
            }
            Pulse::Superseded | Pulse::Lost { .. } | Pulse::Fail(_) => {}
        }
        core.tell_verdict(membership, word);
        if started.duration_since(alive) >= core.settings.session_timeout {
            // The coordinator has given the partitions to others by now: going on would be to work twice.
            core.tell_verdict(membership, Pulse::Lost { forgotten: false });
        }
    }
}

/// Whether a member that last heard of its coordinator so long ago, and beats so often, did not run for its whole session, as in a
/// suspended machine: others have its partitions by now, so it lets them go before it asks.
pub(crate) fn stood_still(core: &Core, silent: Duration, interval: Duration) -> bool {
    silent >= core.settings.session_timeout.max(interval * 3)
}

async fn once(core: &Core, membership: &Membership) -> Result<()> {
    let limit = core.settings.session_timeout / 3;
    let asking = async {
        let connection = core.coordinator(Role::Heartbeat).await?;
        let limit = limit.min(connection.request_timeout());
        connection
            .call_with(&request(core, membership), limit)
            .await
    };
    let answer = timeout(limit, asking).await.map_err(|_| {
        let what = "the coordinator did not answer a heartbeat in time";
        Error::new(milena_core::ErrorKind::Timeout, what).api("Heartbeat")
    })??;
    match ErrorCode::from_wire(answer.error_code) {
        None => Ok(()),
        Some(code) => Err(Error::broker(code)
            .api("Heartbeat")
            .group(core.settings.group_name())),
    }
}

fn request(core: &Core, membership: &Membership) -> HeartbeatRequest {
    let group = StrBytes::from_string(core.settings.group_name().to_owned());
    let instance = core.settings.instance.as_deref();
    HeartbeatRequest::default()
        .with_group_id(group.into())
        .with_generation_id(membership.generation)
        .with_member_id(StrBytes::from_string(membership.member.to_string()))
        .with_group_instance_id(instance.map(|id| StrBytes::from_string(id.to_owned())))
}
