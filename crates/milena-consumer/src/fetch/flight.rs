//! One fetch on its way, from the plan of the fetch session to the bytes of the answer.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{NodeId, Result, TopicPartition};
use milena_pool::{OwnConnections, Role};
use milena_protocol::ApiKey;
use milena_protocol::fetch::{FetchCheck, FetchRequest, Intact, TOPIC_IDS_FROM};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::session::Session;
use super::{Arrived, Landed};
use crate::core::Core;
use crate::settings::Settings;

/// A fetch to send.
pub(super) struct Departing {
    /// Broker to ask.
    pub(super) node: NodeId,
    /// The broker's fetch session, with the partitions to ask for.
    pub(super) session: Session,
    /// Partition that was served last. Those after it come first.
    pub(super) last: Option<TopicPartition>,
    /// True if the broker may name nearer replicas.
    pub(super) names_rack: bool,
    /// Number of bytes to ask for.
    pub(super) max_bytes: usize,
    /// Longest time that the broker may hold the request.
    pub(super) max_wait: Duration,
}

/// Sends one fetch and awaits its answer.
pub(super) async fn fly(core: Arc<Core>, mut departing: Departing) -> Landed {
    let started = Instant::now();
    let answer = ask(&core.connections, &core.settings, &mut departing).await;
    Landed {
        node: departing.node,
        session: departing.session,
        started,
        max_bytes: departing.max_bytes,
        answer,
    }
}

/// Plans the request by the fetch session, sends it and awaits the answer's bytes.
async fn ask(
    connections: &OwnConnections,
    settings: &Settings,
    departing: &mut Departing,
) -> Result<Arrived> {
    let node = departing.node;
    let connection = connections.connection(node, Role::Fetch).await?;
    let version = connection.versions().negotiate(ApiKey::Fetch)?;
    // A topic whose id is unknown, as with older brokers, can only be fetched by name.
    let version = match departing.session.has_ids() {
        true => version,
        false => version.min(TOPIC_IDS_FROM - 1),
    };
    let last = departing.last.as_ref();
    let planned = departing.session.plan(version >= TOPIC_IDS_FROM, last);
    let max_wait = departing.max_wait;
    let request = FetchRequest {
        max_wait,
        min_bytes: settings.fetch_min_bytes,
        max_bytes: u32::try_from(departing.max_bytes).unwrap_or(u32::MAX),
        isolation: settings.isolation,
        session: planned.session,
        partitions: &planned.partitions,
        forgotten: &planned.forgotten,
        rack: match &settings.membership.rack {
            Some(rack) if departing.names_rack => rack,
            _ => "",
        },
    };
    let limit = connection.request_timeout() + max_wait;
    let body = request.encode(version)?;
    let check = settings
        .check_crcs
        .then(|| Arc::new(Mutex::new(FetchCheck::new(version))));
    let answer = match check.clone() {
        Some(check) => {
            let watch = Box::new(move |body: &[u8]| check.lock().look(body));
            connection.send_watched(ApiKey::Fetch, version, vec![body], limit, watch)
        }
        None => connection.send_raw(ApiKey::Fetch, version, vec![body], limit),
    };
    Ok(Arrived {
        body: answer.await?,
        version,
        intact: check.map_or_else(Intact::default, |check| check.lock().take()),
    })
}
