"""Writes golden record data with clients other than Kafka's own.

`write.py broker BOOTSTRAP` produces topics with librdkafka and kafka-python to a broker;
`write.py legacy DIRECTORY` writes message sets of magic 0 and 1, which no current broker stores, with kafka-python's codec.
"""

import binascii
import pathlib
import struct
import sys

import confluent_kafka
import kafka
from confluent_kafka.admin import AdminClient, NewTopic
from kafka.record.legacy_records import LegacyRecordBatchBuilder

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
NOON = 1_700_000_000_000
HEADERS = [("b", b"1"), ("a", b"2"), ("b", b"3"), ("empty", b"")]


def records(codec):
    """Key, value, headers and timestamp of each record; with a codec enough for several of its blocks."""
    yield b"key-0", b"value-0", [], NOON
    yield None, b"no key", [], NOON + 5
    yield b"no value", None, [], NOON + 3
    yield b"", b"", [], NOON + 1_000
    yield b"headers", b"in order and twice", HEADERS, NOON + 70_000
    for i in range(2 if codec == "none" else 24):
        yield b"large-%d" % i, bytes((i * 16 + at) % 256 for at in range(16)) * 248, [], NOON + 80_000 + i


def librdkafka(bootstrap, topic, codec):
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 1_000, "batch.size": 900_000}
    )
    for key, value, headers, timestamp in records(codec):
        headers = headers + [("null", None)] if headers else headers
        producer.produce(topic, value, key, partition=0, timestamp=timestamp, headers=headers)
    assert producer.flush(30) == 0


def kafka_python(bootstrap, topic, codec):
    producer = kafka.KafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type=None if codec == "none" else codec,
        linger_ms=1_000,
        batch_size=900_000,
    )
    sent = [
        producer.send(topic, value, key, headers=headers, partition=0, timestamp_ms=timestamp)
        for key, value, headers, timestamp in records(codec)
        if (key, value) != (None, None)
    ]
    producer.flush(30)
    for future in sent:
        future.get(30)
    producer.close()


def broker(bootstrap):
    topics = {f"{writer}-{codec}": (write, codec) for writer, write in WRITERS.items() for codec in CODECS}
    admin = AdminClient({"bootstrap.servers": bootstrap})  # must outlive what it answers
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in topics]).values():
        future.result(30)
    for name, (write, codec) in topics.items():
        write(bootstrap, name, codec)


WRITERS = {"librdkafka": librdkafka, "kafka-python": kafka_python}


def message_set(magic, codec, base_offset):
    """A set as a broker of that time stored it: a wrapper carries the offset of its last record."""
    number = CODECS.index(codec)
    builder = LegacyRecordBatchBuilder(magic, number, 1 << 20)
    count = 0
    for key, value, _, timestamp in records(codec):
        # Inside a wrapper, magic 1 counts offsets from 0. Magic 0 and plain sets hold absolute offsets.
        offset = count if magic == 1 and number else base_offset + count
        assert builder.append(offset, timestamp, key, value) is not None
        count += 1
    data = builder.build()
    if number:
        struct.pack_into(">q", data, 0, base_offset + count - 1)
        if magic == 1:
            stamp_wrapper(data, timestamp)
    return bytes(data)


def stamp_wrapper(data, timestamp):
    """Gives a wrapper the greatest timestamp of its records, which its CRC covers."""
    struct.pack_into(">q", data, 18, timestamp)
    struct.pack_into(">I", data, 12, binascii.crc32(bytes(data[16:])))


def legacy(directory):
    directory = pathlib.Path(directory)
    for magic in (0, 1):
        for codec in CODECS[:4]:  # zstd came with magic 2
            (directory / f"legacy-v{magic}-{codec}.bin").write_bytes(message_set(magic, codec, 100))


if __name__ == "__main__":
    {"broker": broker, "legacy": legacy}[sys.argv[1]](sys.argv[2])
