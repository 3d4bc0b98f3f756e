//! Produces 100 B and 1 KiB records over TCP and awaits every delivery. One peer is a stub that
//! only acknowledges, the other is the embedded broker.
//!
//! Prints the processor time per record of the client's threads in addition to criterion's figures.
//! The threads of the peers do not count.
#![allow(missing_docs, reason = "criterion makes the entry points")]
#![allow(
    clippy::unwrap_used,
    reason = "a bench stops at the first thing that goes wrong"
)]

use std::collections::VecDeque;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use milena_broker::Broker;
use milena_core::{ErrorCode, Offset};
use milena_pool::Cluster;
use milena_producer::{Producer, Topic};
use milena_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use milena_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use milena_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, InitProducerIdRequest, InitProducerIdResponse,
    MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
    api_versions_response::ApiVersion,
};
use milena_protocol::{ApiKey, Request, response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

const PARTITIONS: i32 = 4;
/// The deliveries that are kept before the oldest is awaited.
const OPEN: usize = 100_000;
/// The records of the latency measurement.
const TICKS: usize = 3_000;

fn produce(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .thread_name("client")
        .build()
        .unwrap();
    let address = stub();
    println!("{}", runtime.block_on(raw_latency(address)));
    let stub = runtime.block_on(connect(vec![address.to_string()]));
    println!("{}", runtime.block_on(latency(&stub.topic("orders"))));
    // The broker has threads of its own, so that its work does not count as the client's.
    let peer = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .thread_name("peer-broker")
        .build()
        .unwrap();
    let broker = Broker::builder()
        .listen("127.0.0.1:0")
        .topic("orders", 4)
        .retention_bytes(64 << 20)
        .journal(100);
    let broker = peer.block_on(broker.start()).unwrap();
    let embedded = runtime.block_on(connect(broker.bootstrap()));

    let mut group = criterion.benchmark_group("produce");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(4));
    for (peer, producer, size, records) in [
        ("stub", &stub, 100, 2_000_000),
        ("stub", &stub, 1024, 400_000),
        ("embedded", &embedded, 100, 1_000_000),
    ] {
        group.throughput(Throughput::Elements(records));
        let mut spent = Vec::new();
        let topic = producer.topic("orders");
        group.bench_function(format!("{peer}/{size} B x {records}"), |bencher| {
            bencher.iter_custom(|rounds| {
                let (start, cpu) = (Instant::now(), client_seconds());
                for _ in 0..rounds {
                    run(&runtime, &topic, size, records);
                }
                let elapsed = start.elapsed();
                spent.push((client_seconds() - cpu) / (records * rounds) as f64);
                elapsed
            });
        });
        spent.sort_by(f64::total_cmp);
        if let Some(median) = spent.get(spent.len() / 2) {
            println!(
                "{peer}/{size} B: {:.3} us of processor time per record",
                median * 1e6
            );
        }
    }
    group.finish();
}

/// Sends `records` records from one task, and awaits every delivery.
fn run(runtime: &Runtime, topic: &Topic, size: usize, records: u64) {
    let topic = topic.clone();
    let task = runtime.spawn(async move {
        let values: Vec<Vec<u8>> = (0..1024u32).map(|n| vec![n as u8; size]).collect();
        let mut open = VecDeque::with_capacity(OPEN + 1);
        for value in values.iter().cycle().take(records as usize) {
            open.push_back(topic.enqueue(None, Some(value)).await.unwrap());
            if open.len() > OPEN
                && let Some(oldest) = open.pop_front()
            {
                oldest.await.unwrap();
            }
        }
        for delivery in open {
            delivery.await.unwrap();
        }
    });
    runtime.block_on(task).unwrap();
}

/// Sends one record each millisecond, and measures the time from the call to its outcome.
async fn latency(topic: &Topic) -> String {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let mut times = Vec::new();
    for _ in 0..TICKS {
        ticks.tick().await;
        let start = Instant::now();
        topic.send(None, Some(&[7; 100])).await.unwrap();
        times.push(start.elapsed());
    }
    percentiles("one record each ms", times)
}

/// Sends one request each millisecond over a plain socket, for comparison with the latency of
/// records.
async fn raw_latency(address: SocketAddr) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    // An `ApiVersions` request of version 0 without a client id.
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    let mut answer = [0; 256];
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let mut times = Vec::new();
    for _ in 0..TICKS {
        ticks.tick().await;
        let start = Instant::now();
        stream.write_all(&request).await.unwrap();
        let len = stream.read_u32().await.unwrap() as usize;
        stream
            .read_exact(answer.get_mut(..len).unwrap())
            .await
            .unwrap();
        times.push(start.elapsed());
    }
    percentiles("raw round trip each ms", times)
}

fn percentiles(what: &str, mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).unwrap().as_micros();
    format!("{what}: p50 {} us, p99 {} us", at(50), at(99))
}

async fn connect(bootstrap: Vec<String>) -> Producer {
    let cluster = Cluster::builder(bootstrap).connect().await.unwrap();
    Producer::builder(cluster).build().unwrap()
}

/// Returns the processor time of this process's threads, without the peers'. Zero if the system
/// does not report it.
fn client_seconds() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return 0.0;
    };
    let ticks = tasks.flatten().filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        let mut fields = rest.split_whitespace().skip(11);
        let sum = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
        (!name.starts_with("peer")).then_some(sum)
    });
    ticks.sum::<f64>() / 100.0
}

/// Starts a peer that acknowledges every batch and drops it.
fn stub() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve_all = move || {
        for stream in listener.incoming().flatten() {
            let serve = move || drop(serve(stream, address));
            std::thread::Builder::new()
                .name("peer-stub".into())
                .spawn(serve)
                .unwrap();
        }
    };
    std::thread::Builder::new()
        .name("peer-stub".into())
        .spawn(serve_all)
        .unwrap();
    address
}

fn serve(stream: TcpStream, address: SocketAddr) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(1 << 16, stream.try_clone()?);
    let mut writer = stream;
    let mut frame = Vec::new();
    loop {
        let mut len = [0; 4];
        reader.read_exact(&mut len)?;
        frame.resize(u32::from_be_bytes(len) as usize, 0);
        reader.read_exact(&mut frame)?;
        writer.write_all(&answer(&frame, address))?;
    }
}

fn answer(frame: &[u8], address: SocketAddr) -> Vec<u8> {
    let mut fields = Fields(frame);
    let (api, version, correlation) = (fields.i16(), fields.i16(), fields.i32());
    let client = fields.i16();
    fields.skip(usize::try_from(client).unwrap_or(0));
    match ApiKey::from_wire(api) {
        Some(ApiKey::Produce) => {
            encode::<ProduceRequest>(&acknowledge(fields), version, correlation)
        }
        Some(ApiKey::ApiVersions) if version > 3 => {
            let refused = versions().with_error_code(ErrorCode::UNSUPPORTED_VERSION.to_wire());
            encode::<ApiVersionsRequest>(&refused, 0, correlation)
        }
        Some(ApiKey::ApiVersions) => {
            encode::<ApiVersionsRequest>(&versions(), version, correlation)
        }
        Some(ApiKey::Metadata) => {
            encode::<MetadataRequest>(&metadata(address), version, correlation)
        }
        _ => {
            let known = InitProducerIdResponse::default().with_producer_id(1.into());
            encode::<InitProducerIdRequest>(&known, version, correlation)
        }
    }
}

fn encode<R: Request>(message: &R::Response, version: i16, correlation: i32) -> Vec<u8> {
    response::encode::<R>(message, version, correlation)
        .unwrap()
        .to_vec()
}

fn versions() -> ApiVersionsResponse {
    // Produce 7 is easy to parse, because flexible versions begin with 9.
    let ranges = [(0, 3, 7), (3, 0, 8), (18, 0, 3), (22, 0, 1)];
    let range = |(key, min, max)| {
        ApiVersion::default()
            .with_api_key(key)
            .with_min_version(min)
            .with_max_version(max)
    };
    ApiVersionsResponse::default().with_api_keys(ranges.into_iter().map(range).collect())
}

fn metadata(address: SocketAddr) -> MetadataResponse {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(1.into())
            .with_replica_nodes(vec![1.into()])
            .with_isr_nodes(vec![1.into()])
    };
    let topic = MetadataResponseTopic::default()
        .with_name(Some(
            milena_protocol::kafka::protocol::StrBytes::from_static_str("orders").into(),
        ))
        .with_partitions((0..PARTITIONS).map(partition).collect());
    let broker = MetadataResponseBroker::default()
        .with_node_id(1.into())
        .with_host(address.ip().to_string().into())
        .with_port(i32::from(address.port()));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_controller_id(1.into())
        .with_topics(vec![topic])
}

/// Reads only the fields of a Produce request that the answer needs.
fn acknowledge(mut fields: Fields<'_>) -> ProduceResponse {
    let transactional = fields.i16();
    fields.skip(usize::try_from(transactional).unwrap_or(0) + 2 + 4);
    let mut topics = Vec::new();
    for _ in 0..fields.i32() {
        let len = fields.i16();
        let name = String::from_utf8(fields.skip(len as usize).to_vec()).unwrap();
        let mut partitions = Vec::new();
        for _ in 0..fields.i32() {
            let index = fields.i32();
            let len = fields.i32();
            fields.skip(len as usize);
            partitions.push(
                PartitionProduceResponse::default()
                    .with_index(index)
                    .with_base_offset(Offset::ZERO.to_wire()),
            );
        }
        let name = milena_protocol::kafka::protocol::StrBytes::from(name);
        topics.push(
            TopicProduceResponse::default()
                .with_name(name.into())
                .with_partition_responses(partitions),
        );
    }
    ProduceResponse::default().with_responses(topics)
}

/// A cursor over big-endian fields.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn skip(&mut self, count: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(count);
        self.0 = rest;
        front
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.skip(2).try_into().unwrap())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.skip(4).try_into().unwrap())
    }
}

criterion_group!(benches, produce);
criterion_main!(benches);
