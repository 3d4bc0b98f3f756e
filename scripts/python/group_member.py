"""A member of another client in a classic group: `group_member.py CLIENT BOOTSTRAP GROUP TOPIC ASSIGNOR`.

CLIENT is kafka-python or confluent-kafka. Each record goes to standard output as `PARTITION VALUE` once it is its turn to be committed,
each change of what it owns as `owns PARTITION ...`. Commits and leaves when standard input ends.
"""

import sys
import threading


def say(*words):
    print(*words, flush=True)


def until_input_ends():
    over = threading.Event()

    def wait():
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    return over


def kafka_python(bootstrap, group, topic, assignor, over):
    import kafka
    from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
    from kafka.coordinator.assignors.range import RangePartitionAssignor
    from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
    from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

    strategies = {
        "range": RangePartitionAssignor,
        "roundrobin": RoundRobinPartitionAssignor,
        "sticky": StickyPartitionAssignor,
        "cooperative-sticky": CooperativeStickyAssignor,
    }
    owned = None

    def tell():
        nonlocal owned
        now = sorted(p.partition for p in consumer.assignment())
        if now != owned:
            owned = now
            say("owns", *now)

    class Listener(kafka.ConsumerRebalanceListener):
        def on_partitions_assigned(self, assigned):
            tell()

        def on_partitions_revoked(self, revoked):
            pass

    consumer = kafka.KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        partition_assignment_strategy=[strategies[assignor]],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        heartbeat_interval_ms=300,
        session_timeout_ms=10000,
        metadata_max_age_ms=2000,
    )
    consumer.subscribe([topic], listener=Listener())
    while not over.is_set():
        # Longer than a rebalance, because a poll that ends during one loses the assignment for good.
        polled = consumer.poll(timeout_ms=3000)
        tell()
        for records in polled.values():
            for record in records:
                say(record.partition, record.value.decode())
        if polled:
            consumer.commit()
    consumer.close()


def confluent(bootstrap, group, topic, assignor, over):
    import confluent_kafka

    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "partition.assignment.strategy": assignor,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "heartbeat.interval.ms": 300,
            "session.timeout.ms": 10000,
            "topic.metadata.refresh.interval.ms": 2000,
        }
    )
    consumer.subscribe([topic])
    owned = None
    while not over.is_set():
        record = consumer.poll(0.1)
        now = sorted(p.partition for p in consumer.assignment())
        if now != owned:
            owned = now
            say("owns", *now)
        if record is not None and record.error() is None:
            say(record.partition(), record.value().decode())
            consumer.commit(record, asynchronous=False)
    consumer.close()


def main():
    client, bootstrap, group, topic, assignor = sys.argv[1:]
    run = {"kafka-python": kafka_python, "confluent-kafka": confluent}[client]
    run(bootstrap, group, topic, assignor, until_input_ends())


main()
