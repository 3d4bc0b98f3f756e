//! The way from a frame to its answer, through the version check, the faults, the journal and the
//! handler.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use milena_core::ErrorCode;
use milena_protocol::ApiKey;
use milena_protocol::any::AnyRequest;
use milena_protocol::request::RequestHeader;
use parking_lot::Mutex;

use crate::api;
use crate::cluster::NewTopic;
use crate::connection::Peer;
use crate::context::{Answer, Context};
use crate::faults::{Action, Hits, Step, Subject};
use crate::journal::{Entry, Fate, Outcome};
use crate::subject::{self, About, Asker};

/// The next action of a connection.
#[derive(Debug)]
pub(crate) enum Sending {
    /// Take the next request.
    Nothing,
    /// Send these bytes.
    Frame(Vec<Bytes>),
    /// Send these bytes and close the connection.
    FrameThenClose(Vec<Bytes>),
    /// Close the connection.
    Close,
    /// Send nothing more, and keep the connection open.
    Silence,
}

/// Serves one request.
pub(crate) async fn handle(peer: &Peer, frame: Bytes) -> Sending {
    let header = match RequestHeader::split(&frame) {
        Ok((header, body)) => (header, body),
        Err(error) => {
            tracing::warn!(peer = %peer.host, %error, "a frame is not a request, so the connection is closed");
            return Sending::Close;
        }
    };
    let (header, body) = header;
    let Some(api) = header
        .api()
        .filter(|api| api::served(*api).is_some_and(|range| range.contains(header.version)))
    else {
        return refuse_version(peer, &header);
    };
    let message = match AnyRequest::decode(&header, body) {
        Ok(message) => message,
        Err(error) => {
            tracing::warn!(peer = %peer.host, %error, "a request cannot be decoded, so the connection is closed");
            note_unreadable(peer, &header, api);
            return Sending::Close;
        }
    };
    drop(frame);
    serve(peer, &header, api, message).await
}

/// Adds a request to the journal whose bytes do not decode, and which therefore ends its
/// connection.
fn note_unreadable(peer: &Peer, header: &RequestHeader, api: ApiKey) {
    let journal = &peer.cluster.journal;
    if !journal.is_on() {
        return;
    }
    let client_id = header.client_id.as_deref().map(Arc::from);
    let entry = note(peer, header, api, client_id, (Vec::new(), None));
    let outcome = Outcome {
        fate: Fate::Disconnected,
        errors: Vec::new(),
        faults: Vec::new(),
    };
    journal.end(&entry, outcome);
}

/// Adds a request to the journal, with the partitions that it is about, and with its message if it
/// decodes.
fn note(
    peer: &Peer,
    header: &RequestHeader,
    api: ApiKey,
    client_id: Option<Arc<str>>,
    (partitions, message): (Vec<(String, i32)>, Option<AnyRequest>),
) -> Arc<Entry> {
    peer.cluster.journal.add(|number| Entry {
        number,
        node: peer.node.id,
        connection: peer.connection,
        api,
        version: header.version,
        correlation_id: header.correlation_id,
        client_id,
        partitions,
        message,
        outcome: std::sync::OnceLock::new(),
    })
}

/// Serves a request that was decoded, and journals it.
async fn serve(peer: &Peer, header: &RequestHeader, api: ApiKey, message: AnyRequest) -> Sending {
    let cluster = &peer.cluster;
    let client_id: Option<Arc<str>> = header.client_id.as_deref().map(Arc::from);
    let (mut hits, mut entry) = (Hits::default(), None);
    if cluster.faults.any() || cluster.journal.is_on() {
        let asker = Asker {
            cluster,
            node: &peer.node,
        };
        let About { partitions, groups } = api::about(&asker, &message);
        let subject = Subject {
            api,
            node: peer.node.id,
            client_id: client_id.as_deref(),
            partitions: &partitions,
            groups: &groups,
        };
        hits = cluster.faults.hits(&subject);
        entry = cluster.journal.is_on().then(|| {
            let kept = subject::without_records(&message);
            note(
                peer,
                header,
                api,
                client_id.clone(),
                (partitions, Some(kept)),
            )
        });
    }
    let context = Context {
        cluster: Arc::clone(cluster),
        node: Arc::clone(&peer.node),
        version: header.version,
        correlation_id: header.correlation_id,
        client_id,
        client_host: Arc::clone(&peer.host),
        hits,
        errors: Mutex::default(),
    };
    let sending = faulty(&context, message).await;
    if let Some(entry) = entry {
        let outcome = Outcome {
            fate: match &sending {
                Sending::Nothing => Fate::NoneWanted,
                Sending::Frame(_) => Fate::Answered,
                Sending::FrameThenClose(_) | Sending::Close => Fate::Disconnected,
                Sending::Silence => Fate::Silent,
            },
            errors: std::mem::take(&mut *context.errors.lock()),
            faults: context.hits.names(),
        };
        cluster.journal.end(&entry, outcome);
    }
    sending
}

/// Runs the handler, with the faults before and after it.
async fn faulty(context: &Context, message: AnyRequest) -> Sending {
    for action in context.hits.actions() {
        match action {
            Action::Delay(time) => tokio::time::sleep(*time).await,
            Action::Do(step) => act(context, step),
            Action::Silence => return Sending::Silence,
            Action::Disconnect => return Sending::Close,
            Action::Raw(bytes) => return Sending::Frame(vec![bytes.clone()]),
            _ => {}
        }
    }
    let mut sending = match api::handle(context, message).await {
        Answer::Frame(pieces) => Sending::Frame(pieces),
        Answer::None => Sending::Nothing,
        Answer::Close => Sending::Close,
    };
    for action in context.hits.actions() {
        sending = match (action, sending) {
            (Action::DelayAnswer(time), sending) => {
                tokio::time::sleep(*time).await;
                sending
            }
            (Action::ApplyThenSilence, _) => Sending::Silence,
            (Action::ApplyThenDisconnect, _) => Sending::Close,
            (Action::Truncate(bytes), Sending::Frame(pieces)) => {
                Sending::FrameThenClose(vec![joined(&pieces, *bytes).freeze()])
            }
            (Action::WrongCorrelationId, Sending::Frame(pieces)) => {
                let mut whole = joined(&pieces, usize::MAX);
                if let Some(id) = whole.get_mut(4..8) {
                    id.copy_from_slice(&(context.correlation_id ^ 0x5555).to_be_bytes());
                }
                Sending::Frame(vec![whole.freeze()])
            }
            (Action::Garbled, Sending::Frame(pieces)) => {
                let mut whole = joined(&pieces, usize::MAX);
                whole.iter_mut().skip(8).for_each(|byte| *byte = 0xff);
                Sending::Frame(vec![whole.freeze()])
            }
            (_, sending) => sending,
        };
    }
    sending
}

/// Changes the cluster as a fault demands.
fn act(context: &Context, step: &Step) {
    let cluster = &context.cluster;
    match step {
        Step::MoveLeader(topic, partition, node) => {
            cluster.move_leader(topic, *partition, *node);
        }
        Step::MoveCoordinator(group, node) => cluster.move_coordinator(group, *node),
        Step::BrokerDown(node) => cluster.broker_down(*node),
        Step::BrokerUp(node) => crate::listen::bring_up(cluster, *node),
        Step::CutConnections(node) => {
            if let Some(node) = cluster.node(*node) {
                node.cut();
            }
        }
        Step::CreateTopic(name, partitions) => {
            let new = NewTopic {
                name: name.clone(),
                partitions: i32::try_from(*partitions).unwrap_or(i32::MAX),
                replication: -1,
                ..NewTopic::default()
            };
            // Fails if the topic exists, which is just as good.
            let _ = cluster.create_topic(new, false);
        }
        Step::DeleteTopic(name) => drop(cluster.delete_topic(name)),
        Step::AddPartitions(name, count) => {
            if let Some(topic) = cluster.topic(name) {
                // Fails if the topic already has as many partitions, which is just as good.
                let count = i32::try_from(*count).unwrap_or(i32::MAX);
                let _ = cluster.add_partitions(&topic, count, false);
            }
        }
        Step::StopReplica(topic, partition, node) => {
            cluster.stop_replica(topic, *partition, *node);
        }
    }
}

/// Joins pieces, up to `max` bytes.
fn joined(pieces: &[Bytes], max: usize) -> BytesMut {
    let mut whole = BytesMut::new();
    for piece in pieces {
        let room = max.saturating_sub(whole.len()).min(piece.len());
        whole.put_slice(piece.get(..room).unwrap_or_default());
    }
    whole
}

/// Answers a request of a version that is not served.
///
/// ApiVersions is answered in any version, so that a client can find a common one (KIP-511). Any
/// other request ends the connection.
fn refuse_version(peer: &Peer, header: &RequestHeader) -> Sending {
    if header.api() != Some(ApiKey::ApiVersions) {
        let (api, version) = (header.api_key, header.version);
        tracing::warn!(peer = %peer.host, api, version, "{}", ErrorCode::UNSUPPORTED_VERSION);
        return Sending::Close;
    }
    match api::unsupported_api_versions(header.correlation_id) {
        Ok(frame) => Sending::Frame(vec![frame]),
        Err(_) => Sending::Close,
    }
}
