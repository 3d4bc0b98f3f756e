//! The names of Kafka's Java clients and of librdkafka, and what becomes of each.

use super::foreign::{CLIENT, CONSUMER, PRODUCER};
use super::foreign_values::{
    Convert, above_zero, assignors, class, compression, fraction, kibibytes, lower, millis, not,
    reconnect, reset, retry, same, times,
};
use super::key::Section;

/// A property of another client.
pub(super) struct Name {
    /// Its name; with a dot at its end, all that begin so.
    pub(super) name: &'static str,
    pub(super) rule: Rule,
}

/// What becomes of a property.
pub(super) enum Rule {
    /// It is these settings, its value turned into theirs.
    Is(&'static [(Section, &'static str)], Convert),
    /// It is read with that other one, which, missing, counts as given with that value.
    With(&'static str, Option<&'static str>),
    /// It says what holds here anyhow, with one of these values; others cannot be taken, for this reason.
    Only(&'static [&'static str], &'static str),
    /// It cannot be taken, for this reason.
    Refused(&'static str),
}

use Rule::{Is, Only, Refused, With};

const fn name(name: &'static str, rule: Rule) -> Name {
    Name { name, rule }
}

const CODEC: &str = "codecs are types here: `client.producer().key(…).value(…)`, `client.consumer(…).key(…).value(…)`";
const SECURITY: &str = "this version speaks neither TLS nor SASL";
const SOCKETS: &str = "the system sizes the buffers of sockets by what goes through them";
const OBSERVERS: &str = "figures are told to observers: `Client::builder().observer(…)`";
const BYTES: &str = "buffers are bounded by bytes, not by records: see `buffer_memory`";
const LOGS: &str = "logs go to `tracing`; choose them by its subscriber";
const ONE_LIMIT: &str = "each dial has the same limit: `socket.connection.setup.timeout.ms`";
const TRANSACTIONS: &str = "a transactional producer is asked for in the program";
const POLL: &str = "there is no poll to bound: lanes take a record at a time, and backpressure is `consumer.buffer_memory`";

/// All names, in the order of the documents.
pub(super) const NAMES: &[Name] = &[
    name("bootstrap.servers", Is(&[(CLIENT, "bootstrap")], same)),
    name("metadata.broker.list", Is(&[(CLIENT, "bootstrap")], same)),
    name("client.id", Is(&[(CLIENT, "client_id")], same)),
    name("group.id", Is(&[(CLIENT, "group")], same)),
    name(
        "request.timeout.ms",
        Is(
            &[(CLIENT, "request_timeout"), (PRODUCER, "request_timeout")],
            millis,
        ),
    ),
    name(
        "socket.timeout.ms",
        Is(&[(CLIENT, "request_timeout")], millis),
    ),
    name(
        "socket.connection.setup.timeout.ms",
        Is(&[(CLIENT, "connect_timeout")], millis),
    ),
    name("socket.connection.setup.timeout.max.ms", Refused(ONE_LIMIT)),
    name(
        "default.api.timeout.ms",
        Is(&[(CLIENT, "api_timeout")], millis),
    ),
    name(
        "metadata.max.age.ms",
        Is(&[(CLIENT, "metadata_max_age")], millis),
    ),
    name(
        "topic.metadata.refresh.interval.ms",
        Is(&[(CLIENT, "metadata_max_age")], millis),
    ),
    name(
        "metadata.max.idle.ms",
        Refused("topics are asked for as long as something uses them"),
    ),
    name(
        "metadata.recovery.strategy",
        Only(
            &["rebootstrap"],
            "a client that lost all brokers begins anew with its first addresses",
        ),
    ),
    name(
        "metadata.recovery.rebootstrap.trigger.ms",
        Refused("a client that lost all brokers begins anew at once"),
    ),
    name(
        "connections.max.idle.ms",
        Is(&[(CLIENT, "connections_max_idle")], millis),
    ),
    name(
        "retry.backoff.ms",
        Is(&[(CLIENT, "backoff"), (PRODUCER, "backoff")], retry),
    ),
    name(
        "retry.backoff.max.ms",
        With("retry.backoff.ms", Some("100")),
    ),
    name(
        "reconnect.backoff.ms",
        Is(&[(CLIENT, "reconnect_backoff")], reconnect),
    ),
    name(
        "reconnect.backoff.max.ms",
        With("reconnect.backoff.ms", Some("50")),
    ),
    name(
        "client.dns.lookup",
        Only(
            &["use_all_dns_ips"],
            "a name is resolved to all its addresses",
        ),
    ),
    name("client.rack", Is(&[(CONSUMER, "client_rack")], same)),
    name("security.protocol", Only(&["PLAINTEXT"], SECURITY)),
    name("security.", Refused(SECURITY)),
    name("sasl.", Refused(SECURITY)),
    name("ssl.", Refused(SECURITY)),
    name("enable.ssl.", Refused(SECURITY)),
    name("receive.buffer.bytes", Only(&["-1"], SOCKETS)),
    name("send.buffer.bytes", Only(&["-1"], SOCKETS)),
    name("socket.receive.buffer.bytes", Only(&["0"], SOCKETS)),
    name("socket.send.buffer.bytes", Only(&["0"], SOCKETS)),
    name(
        "socket.nagle.disable",
        Only(&["true"], "small requests are never held back"),
    ),
    name(
        "socket.keepalive.enable",
        Refused("idle connections end by `connections.max.idle.ms`"),
    ),
    name("metric.reporters", Refused(OBSERVERS)),
    name("metrics.", Refused(OBSERVERS)),
    name("auto.include.jmx.reporter", Refused(OBSERVERS)),
    name("statistics.interval.ms", Only(&["0"], OBSERVERS)),
    name(
        "enable.metrics.push",
        Only(&["false"], "nothing is pushed to brokers"),
    ),
    name(
        "interceptor.classes",
        Refused("tower layers stand around producers and handlers"),
    ),
    name("debug", Refused(LOGS)),
    name("log_level", Refused(LOGS)),
    name("log.", Refused(LOGS)),
    name(
        "api.version.",
        Refused("each broker tells its versions, and is taken at its word"),
    ),
    name(
        "broker.version.fallback",
        Refused("each broker tells its versions, and is taken at its word"),
    ),
    name(
        "allow.auto.create.topics",
        Only(
            &["false"],
            "topics are never made by asking for them; see `client.admin()`",
        ),
    ),
    name("acks", Is(&[(PRODUCER, "acks")], same)),
    name("request.required.acks", Is(&[(PRODUCER, "acks")], same)),
    name(
        "enable.idempotence",
        Is(&[(PRODUCER, "enable_idempotence")], lower),
    ),
    name(
        "enable.gapless.guarantee",
        Refused("a batch that is given up leaves later ones to go on"),
    ),
    name("linger.ms", Is(&[(PRODUCER, "linger")], fraction)),
    name(
        "queue.buffering.max.ms",
        Is(&[(PRODUCER, "linger")], fraction),
    ),
    name("batch.size", Is(&[(PRODUCER, "batch_size")], same)),
    name(
        "batch.num.messages",
        Is(&[(PRODUCER, "batch_records")], same),
    ),
    name(
        "max.request.size",
        Is(&[(PRODUCER, "max_request_size")], same),
    ),
    name(
        "message.max.bytes",
        Is(&[(PRODUCER, "max_request_size")], same),
    ),
    name("buffer.memory", Is(&[(PRODUCER, "buffer_memory")], same)),
    name(
        "queue.buffering.max.kbytes",
        Is(&[(PRODUCER, "buffer_memory")], kibibytes),
    ),
    name("queue.buffering.max.messages", Refused(BYTES)),
    name(
        "compression.type",
        Is(&[(PRODUCER, "compression")], compression),
    ),
    name(
        "compression.codec",
        Is(&[(PRODUCER, "compression")], compression),
    ),
    name("compression.gzip.level", With("compression.type", None)),
    name("compression.lz4.level", With("compression.type", None)),
    name("compression.zstd.level", With("compression.type", None)),
    name("compression.level", With("compression.codec", None)),
    name(
        "delivery.timeout.ms",
        Is(&[(PRODUCER, "delivery_timeout")], millis),
    ),
    name(
        "message.timeout.ms",
        Is(&[(PRODUCER, "delivery_timeout")], millis),
    ),
    name("max.block.ms", Is(&[(PRODUCER, "max_block")], millis)),
    name(
        "max.in.flight.requests.per.connection",
        Is(&[(PRODUCER, "max_in_flight")], same),
    ),
    name("max.in.flight", Is(&[(PRODUCER, "max_in_flight")], same)),
    name("retries", Is(&[(PRODUCER, "retries")], times)),
    name(
        "message.send.max.retries",
        Is(&[(PRODUCER, "retries")], times),
    ),
    name("partitioner.class", Is(&[(PRODUCER, "partitioner")], class)),
    name("partitioner", Is(&[(PRODUCER, "partitioner")], same)),
    name(
        "partitioner.ignore.keys",
        Only(&["false"], "a partitioner of your own may do so"),
    ),
    name(
        "partitioner.adaptive.partitioning.enable",
        Is(&[(PRODUCER, "adaptive_partitioning")], lower),
    ),
    name(
        "partitioner.availability.timeout.ms",
        Is(
            &[(PRODUCER, "partitioner_availability_timeout")],
            above_zero,
        ),
    ),
    name(
        "sticky.partitioning.linger.ms",
        Refused("callers stay with a partition by bytes, not by time"),
    ),
    name("transactional.id", Refused(TRANSACTIONS)),
    name("transaction.", Refused(TRANSACTIONS)),
    name("key.serializer", Refused(CODEC)),
    name("value.serializer", Refused(CODEC)),
    name("key.deserializer", Refused(CODEC)),
    name("value.deserializer", Refused(CODEC)),
    name(
        "group.instance.id",
        Is(&[(CONSUMER, "group_instance_id")], same),
    ),
    name("group.protocol", Is(&[(CONSUMER, "group_protocol")], lower)),
    name(
        "group.remote.assignor",
        Is(&[(CONSUMER, "group_remote_assignor")], same),
    ),
    name(
        "partition.assignment.strategy",
        Is(&[(CONSUMER, "assignors")], assignors),
    ),
    name(
        "session.timeout.ms",
        Is(&[(CONSUMER, "session_timeout")], millis),
    ),
    name(
        "heartbeat.interval.ms",
        Is(&[(CONSUMER, "heartbeat_interval")], millis),
    ),
    name(
        "max.poll.interval.ms",
        Is(
            &[
                (CONSUMER, "rebalance_timeout"),
                (CONSUMER, "max_processing_time"),
            ],
            millis,
        ),
    ),
    name("max.poll.records", Refused(POLL)),
    name(
        "enable.auto.commit",
        Is(&[(CONSUMER, "manual_commit")], not),
    ),
    name(
        "enable.auto.offset.store",
        Only(
            &["true"],
            "commit by yourself with `enable.auto.commit=false`",
        ),
    ),
    name(
        "auto.commit.interval.ms",
        Is(&[(CONSUMER, "commit_interval")], millis),
    ),
    name(
        "auto.offset.reset",
        Is(&[(CONSUMER, "auto_offset_reset")], reset),
    ),
    name(
        "isolation.level",
        Is(&[(CONSUMER, "isolation_level")], same),
    ),
    name(
        "fetch.max.wait.ms",
        Is(&[(CONSUMER, "fetch_max_wait")], millis),
    ),
    name(
        "fetch.wait.max.ms",
        Is(&[(CONSUMER, "fetch_max_wait")], millis),
    ),
    name(
        "fetch.min.bytes",
        Is(&[(CONSUMER, "fetch_min_bytes")], same),
    ),
    name(
        "fetch.max.bytes",
        Is(&[(CONSUMER, "fetch_max_bytes")], same),
    ),
    name(
        "max.partition.fetch.bytes",
        Is(&[(CONSUMER, "max_partition_fetch_bytes")], same),
    ),
    name(
        "fetch.message.max.bytes",
        Is(&[(CONSUMER, "max_partition_fetch_bytes")], same),
    ),
    name(
        "receive.message.max.bytes",
        Refused("a broker keeps within `fetch.max.bytes`; an answer over 100 MiB is refused"),
    ),
    name(
        "queued.max.messages.kbytes",
        Is(&[(CONSUMER, "buffer_memory")], kibibytes),
    ),
    name("queued.min.messages", Refused(BYTES)),
    name("check.crcs", Is(&[(CONSUMER, "check_crcs")], lower)),
    name(
        "exclude.internal.topics",
        Only(&["true"], "a topic is read where it is named"),
    ),
    name(
        "enable.partition.eof",
        Only(
            &["false"],
            "the end of a partition is its watermark: see `AssignedConsumer`",
        ),
    ),
    name("share.", Refused("share groups are not spoken")),
];
