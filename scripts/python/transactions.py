"""Writes transactions with confluent-kafka: transactions.py BOOTSTRAP TOPIC.

Makes the topic with one partition, writes committed, aborted and interleaved transactions and plain records, leaves one
transaction open and prints `open`. At a line on stdin it commits the open one and prints `committed`.
Values say what is to become of their record: committed-N, aborted-N, open-N, plain-N.
"""

import sys
import uuid

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic


def producer(bootstrap, transactional=True):
    config = {"bootstrap.servers": bootstrap, "linger.ms": 0}
    if transactional:
        config["transactional.id"] = "milena-" + uuid.uuid4().hex
        config["transaction.timeout.ms"] = 60000
    made = Producer(config)
    if transactional:
        made.init_transactions(30)
    return made


def write(made, topic, values):
    def delivered(error, _):
        if error is not None:
            raise RuntimeError(str(error))

    for value in values:
        made.produce(topic, value=value, partition=0, on_delivery=delivered)
    made.flush(30)


def main():
    bootstrap, topic = sys.argv[1:]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(topic, 1, 1)]).values():
        future.result(30)
    plain = producer(bootstrap, transactional=False)
    first, second, third = (producer(bootstrap) for _ in range(3))
    write(plain, topic, ["plain-0"])
    # One after the other.
    first.begin_transaction()
    write(first, topic, [f"committed-{n}" for n in range(3)])
    first.commit_transaction(30)
    first.begin_transaction()
    write(first, topic, [f"aborted-{n}" for n in range(3)])
    first.abort_transaction(30)
    # Side by side, ended in another order than begun.
    first.begin_transaction()
    second.begin_transaction()
    for n in range(3, 8):
        write(first, topic, [f"aborted-{n}"])
        write(second, topic, [f"committed-{n}"])
        write(plain, topic, [f"plain-{n}"])
    second.commit_transaction(30)
    write(first, topic, ["aborted-8"])
    first.abort_transaction(30)
    # The producer that aborted goes on, and commits.
    first.begin_transaction()
    write(first, topic, ["committed-9"])
    first.commit_transaction(30)
    third.begin_transaction()
    write(third, topic, ["open-0", "open-1"])
    write(plain, topic, ["plain-9"])
    print("open", flush=True)
    sys.stdin.readline()
    third.commit_transaction(30)
    print("committed", flush=True)


main()
