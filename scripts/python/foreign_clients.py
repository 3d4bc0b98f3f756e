"""Checks that kcat, confluent-kafka (librdkafka) and kafka-python can use a cluster: `foreign_clients.py BOOTSTRAP`.

Each client writes every codec to a topic of its own; each client then reads each topic in a consumer group, and must
find every record once, in order per partition, with key, value, headers and timestamp as they were sent. Groups then
resume behind what was committed, and two clients share one group.
"""

import json
import subprocess
import sys
import threading
import time
import uuid

import confluent_kafka
import kafka
from confluent_kafka.admin import AdminClient, NewTopic

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
PARTITIONS = 3
PER_CODEC = 60
DEADLINE = 60.0  # seconds, for each step
# In milliseconds. kafka-python forgets its assignment when a poll times out between its JoinGroup and the answer to
# its SyncGroup, and never asks again. So a poll must last longer than any rebalance here.
PATIENCE = 3_000
NOON = 1_700_000_000_000
HEADERS = [("b", b"1"), ("a", b"2"), ("b", b"3"), ("empty", b"")]

RUN = uuid.uuid4().hex[:8]


def plan(codec):
    """What a writer sends with one codec: (partition, key, value, headers, timestamp); None as timestamp: the client's."""
    for i in range(PER_CODEC):
        key = None if i % 7 == 3 else f"{codec}-{i}".encode()
        value = f"value {i} ".encode() * (1 + i % 40)
        yield i % PARTITIONS, key, value, HEADERS if i % 5 == 0 else [], NOON + i


def expected(writer):
    """The records of `writer`'s topic by partition, in order."""
    partitions = {p: [] for p in range(PARTITIONS)}
    for codec in CODECS:
        for partition, key, value, headers, timestamp in plan(codec):
            if writer is KCAT:  # It sends no timestamps of ours, no null keys and one header list for all.
                key, headers, timestamp = key or b"null-key", HEADERS, None
            partitions[partition].append((key, value, headers, timestamp))
    return partitions


class Kcat:
    name = "kcat"

    def write(self, bootstrap, topic, codec):
        for partition in range(PARTITIONS):
            lines = [
                (key or b"null-key") + b"\t" + value + b"\n" for p, key, value, _, _ in plan(codec) if p == partition
            ]
            headers = [part for name, value in HEADERS for part in ("-H", f"{name}={value.decode()}")]
            command = ["kcat", "-q", "-P", "-b", bootstrap, "-t", topic, "-p", str(partition), "-K", "\\t", "-z", codec]
            subprocess.run(command + headers, input=b"".join(lines), check=True, timeout=DEADLINE)

    def read(self, bootstrap, topic, group, count):
        command = ["kcat", "-q", "-b", bootstrap, "-X", "auto.offset.reset=earliest", "-c", str(count), "-J"]
        output = subprocess.run(command + ["-G", group, topic], stdout=subprocess.PIPE, check=True, timeout=DEADLINE)
        for line in output.stdout.splitlines():
            record = json.loads(line)
            names, values = record.get("headers", [])[0::2], record.get("headers", [])[1::2]
            headers = [(name, value.encode()) for name, value in zip(names, values)]
            key = record["key"]
            yield record["partition"], record["offset"], (
                None if key is None else key.encode(),
                record["payload"].encode(),
                headers,
                record["ts"],
            )


class Confluent:
    name = "confluent-kafka"

    def write(self, bootstrap, topic, codec):
        failed = []
        settings = {"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 20, "enable.idempotence": True}
        producer = confluent_kafka.Producer(settings)
        for partition, key, value, headers, timestamp in plan(codec):
            on_delivery = lambda error, _: failed.append(error) if error else None  # noqa: E731
            producer.produce(topic, value, key, partition, on_delivery=on_delivery, timestamp=timestamp, headers=headers)
        assert producer.flush(DEADLINE) == 0 and not failed, failed

    def read(self, bootstrap, topic, group, count):
        consumer = self.consumer(bootstrap, topic, group)
        try:
            deadline = time.monotonic() + DEADLINE
            read = 0
            while read < count and time.monotonic() < deadline:
                record = consumer.poll(0.2)
                if record is None:
                    continue
                if record.error():
                    raise confluent_kafka.KafkaException(record.error())
                read += 1
                content = (record.key(), record.value(), record.headers() or [], record.timestamp()[1])
                yield record.partition(), record.offset(), content
            if read:
                consumer.commit(asynchronous=False)
        finally:
            consumer.close()

    def consumer(self, bootstrap, topic, group):
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "partition.assignment.strategy": "range",
                "heartbeat.interval.ms": 500,
            }
        )
        consumer.subscribe([topic])
        return consumer


class KafkaPython:
    name = "kafka-python"

    def write(self, bootstrap, topic, codec):
        producer = kafka.KafkaProducer(
            bootstrap_servers=bootstrap, compression_type=None if codec == "none" else codec, linger_ms=20
        )
        sent = [
            producer.send(topic, value, key, headers=headers, partition=partition, timestamp_ms=timestamp)
            for partition, key, value, headers, timestamp in plan(codec)
        ]
        producer.flush(DEADLINE)
        for future in sent:
            future.get(DEADLINE)
        producer.close()

    def read(self, bootstrap, topic, group, count):
        consumer = self.consumer(bootstrap, topic, group)
        try:
            deadline = time.monotonic() + DEADLINE
            read = 0
            while read < count and time.monotonic() < deadline:
                for records in consumer.poll(PATIENCE).values():
                    for record in records:
                        read += 1
                        content = (record.key, record.value, list(record.headers), record.timestamp)
                        yield record.partition, record.offset, content
            if read:
                consumer.commit()
        finally:
            consumer.close()

    def consumer(self, bootstrap, topic, group, listener=None):
        consumer = kafka.KafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            partition_assignment_strategy=[kafka.coordinator.assignors.range.RangePartitionAssignor],
            heartbeat_interval_ms=500,
        )
        consumer.subscribe([topic], listener=listener)
        return consumer


KCAT = Kcat()
CLIENTS = [KCAT, Confluent(), KafkaPython()]


def create(bootstrap, topics):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in topics]).values():
        future.result(DEADLINE)


def topic_of(writer):
    return f"foreign-{RUN}-{writer.name}"


def compare(what, want, read):
    """Fails unless `read` holds each record of `want` once, in order per partition."""
    got = {p: [] for p in want}
    for partition, offset, content in read:
        assert offset == len(got[partition]), f"{what}: partition {partition} gave offset {offset} after {len(got[partition])} records"
        got[partition].append(content)
    for partition, records in want.items():
        assert len(got[partition]) == len(records), f"{what}: partition {partition} has {len(got[partition])} of {len(records)} records"
        for offset, (wanted, seen) in enumerate(zip(records, got[partition])):
            if wanted[3] is None:
                seen = seen[:3] + (None,)
            assert wanted == seen, f"{what}: partition {partition}, offset {offset}: {seen!r} instead of {wanted!r}"


def each_reads_each(bootstrap):
    count = PER_CODEC * len(CODECS)
    for writer in CLIENTS:
        for codec in CODECS:
            writer.write(bootstrap, topic_of(writer), codec)
        print(f"  {writer.name} wrote {count} records, all codecs", flush=True)
        for reader in CLIENTS:
            group = f"{topic_of(writer)}-{reader.name}"
            compare(f"{reader.name} reads {writer.name}", expected(writer), reader.read(bootstrap, topic_of(writer), group, count))
        print(f"  {', '.join(reader.name for reader in CLIENTS)} read them in groups", flush=True)


def a_group_resumes(bootstrap):
    """The group that each client left behind goes on, in another client, with only what is new."""
    topic = topic_of(CLIENTS[1])
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, b"new", b"new", 1)
    assert producer.flush(DEADLINE) == 0
    for old, new in zip(CLIENTS, CLIENTS[1:] + CLIENTS[:1]):
        read = list(new.read(bootstrap, topic, f"{topic}-{old.name}", 1))
        offset = len(expected(CLIENTS[1])[1])
        assert [(p, o, c[1]) for p, o, c in read] == [(1, offset, b"new")], f"{new.name} after {old.name}: {read!r}"
    print("  a group resumes behind what another client committed", flush=True)


def two_share_a_group(bootstrap):
    """confluent-kafka and kafka-python as members of one group: each gets partitions, and each record goes to one."""
    topic = f"foreign-{RUN}-shared"
    create(bootstrap, [topic])
    seen, lock, stops, held = [], threading.Lock(), [threading.Event(), threading.Event()], {}

    def confluent_member():
        consumer = CLIENTS[1].consumer(bootstrap, topic, topic)
        while not stops[0].is_set():
            record = consumer.poll(0.1)
            held["confluent-kafka"] = {p.partition for p in consumer.assignment()}
            if record is not None and not record.error():
                with lock:
                    seen.append(record.value())
        consumer.commit(asynchronous=False)
        consumer.close()

    def python_member():
        class Held(kafka.ConsumerRebalanceListener):
            def on_partitions_assigned(self, assigned):
                held["kafka-python"] = {p.partition for p in consumer.assignment()}

            def on_partitions_revoked(self, revoked):
                held["kafka-python"] = set()

        consumer = CLIENTS[2].consumer(bootstrap, topic, topic, Held())
        while not stops[1].is_set():
            batches = consumer.poll(PATIENCE)
            with lock:
                seen.extend(record.value for records in batches.values() for record in records)
        consumer.commit()
        consumer.close()

    members = [threading.Thread(target=member, daemon=True) for member in (confluent_member, python_member)]
    for member in members:
        member.start()

    def shared():
        parts = [held.get(client.name, set()) for client in CLIENTS[1:]]
        return all(parts) and not parts[0] & parts[1] and len(parts[0] | parts[1]) == PARTITIONS

    await_true(shared, lambda: f"the group did not settle: {held}")
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap})
    for i in range(300):
        producer.produce(topic, b"%d" % i, partition=i % PARTITIONS)
    assert producer.flush(DEADLINE) == 0
    await_true(lambda: len(seen) >= 300, lambda: f"{len(seen)} of 300 records in the shared group")
    for member, stop in zip(members, stops):  # The second goes on behind what the first committed.
        stop.set()
        member.join(DEADLINE)
        assert not member.is_alive(), "a member did not leave"
    assert sorted(seen, key=int) == [b"%d" % i for i in range(300)], "a record was read twice in the shared group"
    print("  two clients share a group", flush=True)


def await_true(condition, complaint):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.05)


def main(bootstrap):
    started = time.monotonic()
    create(bootstrap, [topic_of(writer) for writer in CLIENTS])
    each_reads_each(bootstrap)
    a_group_resumes(bootstrap)
    two_share_a_group(bootstrap)
    print(f"foreign clients agree at {bootstrap} ({time.monotonic() - started:.1f} s)")


if __name__ == "__main__":
    main(sys.argv[1])
