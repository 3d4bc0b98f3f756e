//! The names of Kafka's Java clients and of librdkafka, and the treatment of each.

use crate::foreign_values::{
    Convert, above_zero, assignors, class, compression, for_ever, fraction, in_flight, kibibytes,
    lower, millis, not, reconnect, reset, retry, same, times,
};
use crate::section::Section;

/// A property of another client.
pub(super) struct Name {
    /// The name of the property. A name that ends with a dot or a low line stands for all names
    /// that begin with it.
    pub(super) name: &'static str,
    /// The treatment of the property.
    pub(super) rule: Rule,
}

/// The treatment of a property.
pub(super) enum Rule {
    /// It becomes these settings, with its value converted.
    Is(&'static [(Section, &'static str)], Convert),
    /// It is read together with the named property. If that one is missing, it counts as given with
    /// this value. With `None` it then sets nothing.
    With(&'static str, Option<&'static str>),
    /// One of these values matches milena's fixed behavior and is accepted. Other values are
    /// refused, for this reason.
    Only(&'static [&'static str], &'static str),
    /// One of these values matches milena's fixed behavior and is accepted. Other values are
    /// ignored, for this reason. Ignoring them loses no record, writes none twice, and gives none
    /// to the wrong reader.
    Passed(&'static [&'static str], &'static str),
    /// It belongs to TLS or SASL. It is ignored if `security.protocol=PLAINTEXT` is set, which uses
    /// neither, and refused otherwise.
    Security,
    /// It is refused, for this reason.
    Refused(&'static str),
}

use Rule::{Is, Only, Passed, Refused, Security, With};

/// Short names for the sections of the table's targets.
const CLIENT: Section = Section::Client;
const PRODUCER: Section = Section::Producer;
const CONSUMER: Section = Section::Consumer;

const fn name(name: &'static str, rule: Rule) -> Name {
    Name { name, rule }
}

const CODEC: &str = "codecs are types here: `client.producer().key(…).value(…)`, `client.consumer(…).key(…).value(…)`";
pub(super) const SECURITY: &str = "this version supports neither TLS nor SASL";
const SOCKETS: &str = "the system chooses the size of socket buffers";
const OBSERVERS: &str = "metrics go to observers: `Client::builder().add_observer(…)`";
const BYTES: &str = "buffers are limited by bytes, not by records: see `buffer_memory`";
const LOGS: &str = "logs go to `tracing`; choose them by its subscriber";
const ONE_LIMIT: &str =
    "each connection attempt has the same limit: `socket.connection.setup.timeout.ms`";
const TRANSACTIONS: &str = "transactional producers are not supported";
const REGISTRY: &str = "it belongs to a schema registry client, which milena does not have";
const CALLBACKS: &str = "it is set in a program, not in a file";
const UNUSED: &str = "milena does not need it";
const EXPANDED: &str = "placeholders are not expanded; insert the values before the file is read";
const POLL: &str = "there is no poll to limit: lanes take one record at a time, and `consumer.buffer_memory` limits what is fetched";

/// All names, in the order of the documentation.
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
    name(
        "socket.connection.setup.timeout.max.ms",
        Passed(&[], ONE_LIMIT),
    ),
    name(
        "default.api.timeout.ms",
        Is(&[(CLIENT, "api_timeout")], millis),
    ),
    name(
        "metadata.max.age.ms",
        Is(&[(CLIENT, "metadata_max_age")], for_ever),
    ),
    name(
        "topic.metadata.refresh.interval.ms",
        Is(&[(CLIENT, "metadata_max_age")], for_ever),
    ),
    name(
        "metadata.max.idle.ms",
        Is(&[(CLIENT, "metadata_max_idle")], millis),
    ),
    name(
        "metadata.recovery.strategy",
        Passed(
            &["rebootstrap"],
            "a client that lost all brokers starts again with its bootstrap addresses",
        ),
    ),
    name(
        "metadata.recovery.rebootstrap.trigger.ms",
        Passed(&[], "a client that lost all brokers starts again at once"),
    ),
    name(
        "connections.max.idle.ms",
        Is(&[(CLIENT, "connections_max_idle")], for_ever),
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
        Passed(
            &["use_all_dns_ips"],
            "a name is resolved to all its addresses",
        ),
    ),
    name("client.rack", Is(&[(CONSUMER, "client_rack")], same)),
    name("security.protocol", Only(&["PLAINTEXT"], SECURITY)),
    name("security.", Security),
    name("sasl.", Security),
    name("ssl.", Security),
    name("enable.ssl.", Security),
    name("enable.sasl.", Security),
    name("ssl_", Security),
    name("https.ca.", Security),
    name("oauthbearer_token_refresh_cb", Security),
    name("receive.buffer.bytes", Passed(&["-1"], SOCKETS)),
    name("send.buffer.bytes", Passed(&["-1"], SOCKETS)),
    name("socket.receive.buffer.bytes", Passed(&["0"], SOCKETS)),
    name("socket.send.buffer.bytes", Passed(&["0"], SOCKETS)),
    name(
        "socket.nagle.disable",
        Passed(&["true"], "small requests are never held back"),
    ),
    name(
        "socket.keepalive.enable",
        Passed(
            &["false"],
            "`connections.max.idle.ms` ends idle connections",
        ),
    ),
    name("metric.reporters", Passed(&[], OBSERVERS)),
    name("metrics.", Passed(&[], OBSERVERS)),
    name("auto.include.jmx.reporter", Passed(&[], OBSERVERS)),
    name("statistics.interval.ms", Passed(&["0"], OBSERVERS)),
    name(
        "enable.metrics.push",
        Passed(&["false"], "nothing is pushed to brokers"),
    ),
    name(
        "interceptor.classes",
        Refused("use tower layers around producers and handlers instead"),
    ),
    name("debug", Passed(&[], LOGS)),
    name("log_level", Passed(&[], LOGS)),
    name("log.", Passed(&[], LOGS)),
    name(
        "api.version.",
        Passed(&[], "each broker reports the versions that it supports"),
    ),
    name(
        "broker.version.fallback",
        Passed(&[], "each broker reports the versions that it supports"),
    ),
    name(
        "allow.auto.create.topics",
        Passed(
            &["false"],
            "a metadata request never creates a topic; see `client.admin()`",
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
        Only(&["false"], "later batches are sent even if a batch failed"),
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
    name("queue.buffering.max.messages", Passed(&[], BYTES)),
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
        Is(&[(PRODUCER, "delivery_timeout")], for_ever),
    ),
    name(
        "message.timeout.ms",
        Is(&[(PRODUCER, "delivery_timeout")], for_ever),
    ),
    name("max.block.ms", Is(&[(PRODUCER, "max_block")], millis)),
    name(
        "max.in.flight.requests.per.connection",
        Is(&[(PRODUCER, "max_in_flight")], in_flight),
    ),
    name(
        "max.in.flight",
        Is(&[(PRODUCER, "max_in_flight")], in_flight),
    ),
    name("retries", Is(&[(PRODUCER, "retries")], times)),
    name(
        "message.send.max.retries",
        Is(&[(PRODUCER, "retries")], times),
    ),
    name("partitioner.class", Is(&[(PRODUCER, "partitioner")], class)),
    name("partitioner", Is(&[(PRODUCER, "partitioner")], same)),
    name(
        "partitioner.ignore.keys",
        Only(&["false"], "use a partitioner of your own for this"),
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
        Passed(&[], "the producer changes partitions by bytes, not by time"),
    ),
    name("transactional.id", Refused(TRANSACTIONS)),
    name("transaction.", Passed(&[], TRANSACTIONS)),
    name("key.serializer", Passed(&[], CODEC)),
    name("value.serializer", Passed(&[], CODEC)),
    name("key.deserializer", Passed(&[], CODEC)),
    name("value.deserializer", Passed(&[], CODEC)),
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
    name("max.poll.records", Passed(&[], POLL)),
    name(
        "enable.auto.commit",
        Is(&[(CONSUMER, "manual_commit")], not),
    ),
    name(
        "enable.auto.offset.store",
        Only(
            &["true"],
            "commit in the program with `enable.auto.commit=false`",
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
        Passed(
            &[],
            "a broker keeps within `fetch.max.bytes`; an answer over 100 MiB is refused",
        ),
    ),
    name(
        "queued.max.messages.kbytes",
        Is(&[(CONSUMER, "buffer_memory")], kibibytes),
    ),
    name("queued.min.messages", Passed(&[], BYTES)),
    name("check.crcs", Is(&[(CONSUMER, "check_crcs")], lower)),
    name(
        "exclude.internal.topics",
        Only(&["true"], "an internal topic is read if it is named"),
    ),
    name(
        "enable.partition.eof",
        Only(
            &["false"],
            "the end of a partition is its watermark: see `AssignedConsumer`",
        ),
    ),
    name("share.", Passed(&[], "share groups are not supported")),
    name("internal.", Passed(&[], "it is no setting for users")),
    name("config.providers", Refused(EXPANDED)),
    name("schema.registry.", Passed(&[], REGISTRY)),
    name("basic.auth.", Passed(&[], REGISTRY)),
    name("bearer.auth.", Passed(&[], REGISTRY)),
    name("auto.register.schemas", Passed(&[], REGISTRY)),
    name("use.latest.version", Passed(&[], REGISTRY)),
    name("specific.avro.reader", Passed(&[], REGISTRY)),
    name("key.subject.name.strategy", Passed(&[], REGISTRY)),
    name("value.subject.name.strategy", Passed(&[], REGISTRY)),
    name(
        "builtin.features",
        Passed(&[], "it says how librdkafka was built"),
    ),
    name("message.copy.max.bytes", Passed(&[], UNUSED)),
    name("topic.metadata.refresh.fast.", Passed(&[], UNUSED)),
    name(
        "topic.metadata.refresh.sparse",
        Passed(&[], "metadata is requested by topic name"),
    ),
    name("topic.metadata.propagation.max.ms", Passed(&[], UNUSED)),
    name(
        "topic.blacklist",
        Refused("name the topics, or a pattern that leaves them out"),
    ),
    name("socket.blocking.max.ms", Passed(&[], UNUSED)),
    name(
        "socket.max.fails",
        Passed(&["1"], "a connection that failed is not used again"),
    ),
    name(
        "broker.address.ttl",
        Passed(&[], "names are resolved for each connection"),
    ),
    name(
        "broker.address.family",
        Passed(&["any"], "all addresses of a name are tried"),
    ),
    name(
        "reconnect.backoff.jitter.ms",
        Passed(&["0"], "backoffs always have jitter"),
    ),
    name("enabled_events", Passed(&[], OBSERVERS)),
    name("enable.random.seed", Passed(&[], UNUSED)),
    name("error_cb", Passed(&[], CALLBACKS)),
    name("throttle_cb", Passed(&[], CALLBACKS)),
    name("stats_cb", Passed(&[], CALLBACKS)),
    name("log_cb", Passed(&[], CALLBACKS)),
    name("consume_cb", Passed(&[], CALLBACKS)),
    name("rebalance_cb", Passed(&[], CALLBACKS)),
    name("offset_commit_cb", Passed(&[], CALLBACKS)),
    name("dr_cb", Passed(&[], CALLBACKS)),
    name("dr_msg_cb", Passed(&[], CALLBACKS)),
    name("opaque", Passed(&[], CALLBACKS)),
    name(
        "plugin.library.paths",
        Refused("plugins of librdkafka are not loaded"),
    ),
    name(
        "group.protocol.type",
        Only(&["consumer"], "only groups of consumers are supported"),
    ),
    name(
        "coordinator.query.interval.ms",
        Passed(&[], "a moved coordinator is noticed by its answers"),
    ),
    name(
        "fetch.queue.backoff.ms",
        Passed(&[], "fetching goes on as soon as there is room"),
    ),
    name(
        "fetch.error.backoff.ms",
        Passed(&[], "see `retry.backoff.ms`"),
    ),
    name(
        "offset.store.method",
        Only(&["broker"], "brokers store the offsets"),
    ),
    name("offset.store.", Passed(&[], "brokers store the offsets")),
    name(
        "auto.commit.enable",
        Passed(&[], "see `enable.auto.commit`"),
    ),
    name("consume.callback.max.messages", Passed(&[], POLL)),
    name(
        "queue.buffering.backpressure.threshold",
        Passed(&[], UNUSED),
    ),
    name(
        "delivery.report.only.error",
        Passed(&["false"], "each record has its outcome"),
    ),
    name(
        "queuing.strategy",
        Only(&["fifo"], "records leave in their order"),
    ),
    name(
        "produce.offset.report",
        Passed(&[], "each outcome has its offset"),
    ),
];
