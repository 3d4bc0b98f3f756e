//! One fetch on its way, from the plan of the fetch session to the bytes of the answer.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{NodeId, Result};
use milena_pool::Role;
use milena_protocol::ApiKey;
use milena_protocol::fetch::{FetchCheck, FetchRequest, Intact, TOPIC_IDS_FROM};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Arrived, Asked, Landed};
use crate::core::Core;
use crate::session::{Planned, Session};

/// Sends one fetch and awaits its answer. `bounds` holds the most bytes to return and the longest
/// time that the broker may hold the request.
pub(super) async fn fly(
    core: Arc<Core>,
    node: NodeId,
    asked: Vec<Asked>,
    mut session: Session,
    bounds: (usize, Duration),
) -> Landed {
    let started = Instant::now();
    let answer = ask(&core, node, &asked, &mut session, bounds).await;
    Landed {
        node,
        asked,
        session,
        started,
        max_bytes: bounds.0,
        answer,
    }
}

/// Plans the request by the fetch session, sends it and awaits the answer's bytes.
async fn ask(
    core: &Core,
    node: NodeId,
    asked: &[Asked],
    session: &mut Session,
    (max_bytes, max_wait): (usize, Duration),
) -> Result<Arrived> {
    let connection = core.connections.connection(node, Role::Fetch).await?;
    let version = connection.versions().negotiate(ApiKey::Fetch)?;
    let by_id = asked.iter().all(|each| each.entry.topic_id.is_some());
    // A topic whose id is unknown, as with older brokers, can only be fetched by name.
    let version = if by_id {
        version
    } else {
        version.min(TOPIC_IDS_FROM - 1)
    };
    let wanted = asked.iter().map(|each| each.entry.clone()).collect();
    let Planned {
        session: at,
        partitions,
        forgotten,
    } = session.plan(wanted, version >= TOPIC_IDS_FROM);
    let request = FetchRequest {
        max_wait,
        min_bytes: core.settings.fetch_min_bytes,
        max_bytes: u32::try_from(max_bytes).unwrap_or(u32::MAX),
        isolation: core.settings.isolation,
        session: at,
        partitions: &partitions,
        forgotten: &forgotten,
        rack: if asked.iter().all(|each| each.names_rack) {
            core.settings.membership.rack.as_deref().unwrap_or_default()
        } else {
            ""
        },
    };
    let limit = connection.request_timeout() + max_wait;
    let body = request.encode(version)?;
    let check = core
        .settings
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
