//! A cluster in memory for tests. It appends what Kafka would append, and fails as scripted.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use milena_core::{
    Error, ErrorCode, ErrorKind, NodeId, ProducerEpoch, ProducerId, Result, TopicName,
    TopicPartition,
};
use milena_protocol::batch::Batches;
use milena_protocol::hints::{LeaderHint, NodeEndpoint};
use milena_protocol::kafka::protocol::{Decodable, Encodable};
use milena_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use milena_protocol::messages::{ProduceRequest, ProduceResponse};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::network::{BoxFuture, Changes, LinkId, Network, Shape, Wire};
use crate::send::identity::Identity;

/// The scripted treatment of one Produce request. Requests take the entries in the order in which
/// they come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// The request is served.
    Serve,
    /// The batches are refused with this code.
    Refuse(ErrorCode),
    /// The batches are refused because of their first record, which the answer names (KIP-467).
    RefuseFirst,
    /// The batches are appended, and the answer has this code.
    ServeThenRefuse(ErrorCode),
    /// The request is served, but the connection ends before the answer.
    ServeThenCut,
    /// The connection ends before the request is served.
    Cut,
    /// The request is neither served nor answered.
    Swallow,
    /// Sending the request panics.
    Panic,
    /// The connection does not accept the request, since too many are unanswered.
    NotTaken,
}

/// The cluster. All brokers share one state.
pub(crate) struct Stub {
    pub(crate) state: Mutex<State>,
    changes: watch::Sender<u64>,
    seen: Changes,
    ids: AtomicI64,
    this: std::sync::Weak<Self>,
}

/// The state that tests read and change.
pub(crate) struct State {
    /// The leader of each partition. `None` while it has none.
    pub(crate) leaders: Vec<Option<i32>>,
    /// The log of each partition.
    pub(crate) logs: Vec<Log>,
    /// The treatment of the next requests. Empty, it serves them all.
    pub(crate) script: VecDeque<Act>,
    /// The time from a request to its answer.
    pub(crate) round_trip: Duration,
    /// The time that a broker works on each batch, one request of a connection at a time. `None`
    /// appends at once.
    pub(crate) work: Option<Duration>,
    /// The number of Produce requests so far.
    pub(crate) requests: usize,
    /// The number of the connection that each request came on.
    pub(crate) used: Vec<u8>,
    /// The number of connections that were asked for.
    pub(crate) dials: usize,
    /// True if a broker refuses all connections but the first.
    pub(crate) only_one: bool,
    /// Brokers that cannot be reached.
    pub(crate) down: Vec<i32>,
    /// The most bytes of a batch. Larger ones are refused.
    pub(crate) max_batch: usize,
    /// The time until which the topic is not known. `None` keeps it unknown for ever.
    pub(crate) known_from: Option<Instant>,
    wires: Vec<Arc<AtomicBool>>,
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) values: Vec<String>,
    /// The epoch, first sequence and count of each batch that came, appended or not.
    pub(crate) journal: Vec<(i16, i32, i32)>,
    producers: HashMap<i64, Known>,
}

#[derive(Default)]
struct Known {
    epoch: i16,
    next: i32,
    last: VecDeque<(i32, i32, i64)>,
}

struct StubWire {
    link: LinkId,
    turn: Arc<tokio::sync::Mutex<()>>,
    cut: watch::Sender<bool>,
    stub: Arc<Stub>,
    closed: Arc<AtomicBool>,
}

const VERSION: i16 = 9;

impl Stub {
    pub(crate) fn new(partitions: usize) -> Arc<Self> {
        let (changes, seen) = watch::channel(0);
        Arc::new_cyclic(|this| Self {
            state: Mutex::new(State {
                leaders: vec![Some(1); partitions],
                logs: (0..partitions).map(|_| Log::default()).collect(),
                script: VecDeque::new(),
                round_trip: Duration::from_millis(1),
                work: None,
                requests: 0,
                used: Vec::new(),
                only_one: false,
                dials: 0,
                down: Vec::new(),
                max_batch: usize::MAX,
                known_from: Some(Instant::now()),
                wires: Vec::new(),
            }),
            changes,
            seen: Changes::new(seen),
            ids: AtomicI64::new(1000),
            this: this.clone(),
        })
    }

    pub(crate) fn script(&self, acts: impl IntoIterator<Item = Act>) {
        self.state.lock().script.extend(acts);
    }

    pub(crate) fn lead(&self, partition: usize, node: Option<i32>) {
        self.state.lock().leaders[partition] = node;
        self.tell();
    }

    /// Reports new metadata.
    pub(crate) fn tell(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn values(&self, partition: usize) -> Vec<String> {
        self.state.lock().logs[partition].values.clone()
    }
}

impl Network for Stub {
    fn leader(&self, place: &TopicPartition) -> Option<NodeId> {
        let state = self.state.lock();
        let node = (*state.leaders.get(place.partition.index())?)?;
        NodeId::from_wire(node)
    }

    fn topic_id(&self, _topic: &str) -> Option<Uuid> {
        None
    }

    fn shape(&self, topic: &str) -> Option<Shape> {
        let state = self.state.lock();
        (topic == "orders" && state.known_from.is_some_and(|time| time <= Instant::now())).then(
            || Shape {
                led: state.leaders.iter().map(Option::is_some).collect(),
            },
        )
    }

    fn topic(&self, topic: TopicName, _limit: Duration) -> BoxFuture<Result<Shape>> {
        let this = self.this.upgrade().unwrap();
        Box::pin(async move {
            let until = this.state.lock().known_from;
            match until {
                Some(time) if &*topic == "orders" => tokio::time::sleep_until(time).await,
                _ => {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                    return Err(Error::broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
                }
            }
            this.shape(&topic)
                .ok_or_else(|| Error::broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
        })
    }

    fn learn(&self, _hints: Vec<(TopicPartition, LeaderHint)>, _endpoints: &[NodeEndpoint]) {}

    fn refresh(&self, _reason: &'static str) {}

    fn renew(&self) -> BoxFuture<()> {
        Box::pin(std::future::ready(()))
    }

    fn changed(&self) -> BoxFuture<()> {
        self.seen.next()
    }

    fn connect(&self, link: LinkId) -> BoxFuture<Result<Arc<dyn Wire>>> {
        let stub = self.this.upgrade().unwrap();
        Box::pin(async move {
            let mut state = stub.state.lock();
            state.dials += 1;
            let refused = state.only_one && link.number > 0;
            if refused || state.down.contains(&link.node.to_wire()) {
                return Err(Error::new(ErrorKind::Transport, "connection refused"));
            }
            let closed = Arc::new(AtomicBool::new(false));
            state.wires.push(closed.clone());
            drop(state);
            Ok(Arc::new(StubWire {
                link,
                turn: Arc::default(),
                cut: watch::channel(false).0,
                stub,
                closed,
            }) as Arc<dyn Wire>)
        })
    }

    fn producer_id(&self) -> BoxFuture<Result<Identity>> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            Ok(Identity {
                id: ProducerId::from_wire(id).unwrap(),
                epoch: ProducerEpoch::from_wire(0).unwrap(),
            })
        })
    }
}

impl Wire for StubWire {
    fn version(&self) -> Result<i16> {
        Ok(VERSION)
    }

    fn send(
        &self,
        version: i16,
        body: Vec<Bytes>,
        timeout: Duration,
        answered: bool,
    ) -> BoxFuture<Result<Bytes>> {
        let lost = || Box::pin(async { Err(Error::new(ErrorKind::Transport, "connection reset")) });
        if self.closed.load(Ordering::SeqCst) {
            return lost();
        }
        let mut state = self.stub.state.lock();
        state.requests += 1;
        state.used.push(self.link.number);
        let round_trip = state.round_trip;
        let act = state.script.pop_front().unwrap_or(Act::Serve);
        let body = body.iter().fold(BytesMut::new(), |mut all, part| {
            all.extend_from_slice(part);
            all
        });
        let request = ProduceRequest::decode(&mut body.freeze(), version).unwrap();
        if matches!(act, Act::Cut | Act::ServeThenCut) {
            self.closed.store(true, Ordering::SeqCst);
            self.cut.send_replace(true);
        }
        match act {
            Act::Swallow => {
                return Box::pin(async move {
                    tokio::time::sleep(timeout).await;
                    Err(Error::new(ErrorKind::Timeout, "no answer"))
                });
            }
            Act::Cut => return lost(),
            Act::Panic => panic!("a fault of the connection"),
            Act::NotTaken => {
                let error = Error::new(ErrorKind::State, "1024 requests are unanswered");
                let error = error.with_persistence(milena_core::Persistence::NotWritten);
                return Box::pin(async { Err(error) });
            }
            _ => {}
        }
        let node = self.link.node.to_wire();
        let mut answer = None;
        let work = state.work.map(|work| work * batches(&request));
        if work.is_none() {
            answer = Some(state.serve(node, &request, act));
        }
        drop(state);
        let (stub, turn) = (self.stub.clone(), self.turn.clone());
        // The broker works on every request that it received, even if the connection has ended.
        let worked = work.map(|work| {
            tokio::spawn(async move {
                let _turn = turn.lock().await;
                tokio::time::sleep(work).await;
                stub.state.lock().serve(node, &request, act)
            })
        });
        let mut cut = self.cut.subscribe();
        Box::pin(async move {
            if matches!(act, Act::ServeThenCut) {
                return lost().await;
            }
            if let Some(worked) = worked {
                tokio::select! {
                    done = worked => answer = Some(done.unwrap()),
                    () = async { drop(cut.wait_for(|cut| *cut).await) } => return lost().await,
                }
            }
            tokio::time::sleep(round_trip).await;
            let mut out = BytesMut::new();
            answer.unwrap().encode(&mut out, version).unwrap();
            Ok(if answered { out.freeze() } else { Bytes::new() })
        })
    }

    fn throttle(&self, _wait: Duration) {}

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn muted_until(&self) -> Option<Instant> {
        None
    }

    fn srtt(&self) -> Option<Duration> {
        Some(self.stub.state.lock().round_trip)
    }
}

fn batches(request: &ProduceRequest) -> u32 {
    let topics = request.topic_data.iter();
    topics.map(|topic| topic.partition_data.len() as u32).sum()
}

impl State {
    fn serve(&mut self, node: i32, request: &ProduceRequest, act: Act) -> ProduceResponse {
        let topics = request.topic_data.iter().map(|topic| {
            let partitions = topic.partition_data.iter().map(|data| {
                let records = data.records.clone().unwrap();
                let (code, base) = match act {
                    Act::Refuse(code) => (code.to_wire(), -1),
                    Act::RefuseFirst => (ErrorCode::INVALID_RECORD.to_wire(), -1),
                    _ => self.append(node, data.index as usize, records),
                };
                let code = match act {
                    Act::ServeThenRefuse(code) => code.to_wire(),
                    _ => code,
                };
                let first = matches!(act, Act::RefuseFirst)
                    .then(|| BatchIndexAndErrorMessage::default().with_batch_index(0));
                PartitionProduceResponse::default()
                    .with_record_errors(first.into_iter().collect())
                    .with_index(data.index)
                    .with_error_code(code)
                    .with_base_offset(base)
            });
            TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_partition_responses(partitions.collect())
        });
        ProduceResponse::default().with_responses(topics.collect())
    }

    fn append(&mut self, node: i32, partition: usize, records: Bytes) -> (i16, i64) {
        if self.leaders[partition] != Some(node) {
            return (ErrorCode::NOT_LEADER_OR_FOLLOWER.to_wire(), -1);
        }
        let size = records.len();
        let log = &mut self.logs[partition];
        let batch = Batches::new(records).next().unwrap().unwrap();
        batch.verify_crc().unwrap();
        let header = batch.header();
        let count = header.count as i32;
        if size > self.max_batch {
            return (ErrorCode::MESSAGE_TOO_LARGE.to_wire(), -1);
        }
        let base = log.values.len() as i64;
        if let (Some(id), Some(epoch), Some(first)) = (
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
        ) {
            let (epoch, first) = (epoch.to_wire(), first.to_wire());
            log.journal.push((epoch, first, count));
            let fresh = !log.producers.contains_key(&id.to_wire());
            let known = log.producers.entry(id.to_wire()).or_default();
            if !fresh && epoch < known.epoch {
                return (ErrorCode::INVALID_PRODUCER_EPOCH.to_wire(), -1);
            }
            if epoch > known.epoch && !fresh {
                if first != 0 {
                    return (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.to_wire(), -1);
                }
                *known = Known::default();
            } else if let Some(same) = known
                .last
                .iter()
                .find(|one| (one.0, one.1) == (first, count))
            {
                return (0, same.2);
            } else if !fresh && known.next != first {
                return (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.to_wire(), -1);
            }
            known.epoch = epoch;
            known.next = first + count;
            known.last.push_back((first, count, base));
            if known.last.len() > 5 {
                known.last.pop_front();
            }
        }
        for record in batch.records(usize::MAX).unwrap().iter() {
            let value = record.unwrap().value.unwrap_or_default().to_vec();
            log.values.push(String::from_utf8(value).unwrap());
        }
        (0, base)
    }
}
