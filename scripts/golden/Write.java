// Writes the golden topics with Kafka's own producer. Reads each back with Kafka's own consumer, to check that the
// topic holds what was meant. Argument: the bootstrap address of a fresh broker.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

class Write {
  static final long NOON = 1_700_000_000_000L; // any fixed time
  static String bootstrap;

  public static void main(String[] args) throws Exception {
    bootstrap = args[0];
    for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
      String topic = "java-" + codec;
      create(topic, Map.of());
      check(topic, fill(topic, codec, codec.equals("none") ? 8 : 64), true);
    }
    for (String codec : List.of("none", "zstd")) {
      String topic = "java-log-append-" + codec;
      create(topic, Map.of("message.timestamp.type", "LogAppendTime"));
      check(topic, fill(topic, codec, 4), false);
    }
    transactions("java-transactional");
    compacted("java-compacted");
  }

  // Two batches: every odd shape of a record, then repeating values that span several blocks of each codec.
  static List<ProducerRecord<byte[], byte[]>> fill(String topic, String codec, int kibibytes) {
    List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
    try (var producer = producer(Map.of("compression.type", codec))) {
      sent.add(record(topic, 0, "key-0", "value-0"));
      sent.add(record(topic, 5, null, "no key"));
      sent.add(record(topic, 3, "no value", null)); // earlier than the one before it
      sent.add(record(topic, 1_000, null, null));
      sent.add(record(topic, 1_000, "", ""));
      var headers = record(topic, 70_000, "headers", "in order, twice, null and empty");
      headers.headers().add("b", bytes("1")).add("a", bytes("2")).add("b", bytes("3")).add("null", null).add("empty", new byte[0]).add("", bytes("no name"));
      sent.add(headers);
      sent.add(record(topic, 70_001, "snowman \u2603", "\u00fc and \ud83e\udd80"));
      sent.forEach(producer::send);
      producer.flush();
      int first = sent.size();
      for (int i = 0; i < kibibytes; i++) {
        byte[] value = new byte[i % 2 == 0 ? 128 : 3968];
        for (int at = 0; at < value.length; at++) value[at] = (byte) (i * 16 + at % 16);
        sent.add(new ProducerRecord<>(topic, 0, NOON + 80_000 + i, bytes("large-" + i), value));
      }
      sent.subList(first, sent.size()).forEach(producer::send);
    }
    return sent;
  }

  // Offsets 0, 1 and 4 committed, 2 and 3 aborted in between, then a plain record and both markers in any order.
  static void transactions(String topic) throws Exception {
    create(topic, Map.of("segment.ms", "1000000000000")); // markers carry today's time and must not open a segment
    try (var first = producer(Map.of("transactional.id", topic + "-first"));
        var second = producer(Map.of("transactional.id", topic + "-second"));
        var plain = producer(Map.of())) {
      first.initTransactions();
      second.initTransactions();
      first.beginTransaction();
      second.beginTransaction();
      first.send(record(topic, 0, "committed", "0"));
      first.send(record(topic, 1, "committed", "1"));
      first.flush();
      second.send(record(topic, 2, "aborted", "0"));
      second.send(record(topic, 3, "aborted", "1"));
      second.flush();
      first.send(record(topic, 4, "committed", "2"));
      first.commitTransaction();
      second.abortTransaction();
      plain.send(record(topic, 5, "plain", "0"));
    }
    var stable = Map.of(new TopicPartition(topic, 0), OffsetSpec.latest());
    try (var admin = Admin.create(Map.<String, Object>of("bootstrap.servers", bootstrap))) {
      var committed = new ListOffsetsOptions(IsolationLevel.READ_COMMITTED);
      while (admin.listOffsets(stable, committed).all().get().values().iterator().next().offset() < 8) Thread.sleep(100);
    }
  }

  // All records of a producer's only batch are overwritten. The cleaner keeps the empty batch for its sequence.
  static void compacted(String topic) throws Exception {
    create(topic, Map.of("cleanup.policy", "compact", "segment.ms", "1000", "min.cleanable.dirty.ratio", "0.01", "min.compaction.lag.ms", "0"));
    try (var overwritten = producer(Map.of()); var writer = producer(Map.of())) {
      for (String key : List.of("a", "b", "c")) overwritten.send(record(topic, 0, key, "first"));
      overwritten.flush();
      for (String key : List.of("a", "x", "b", "y", "x", "c", "x")) writer.send(record(topic, 1, key, "second"));
      writer.flush();
      for (String key : List.of("d", "y", "e")) writer.send(record(topic, 2, key, "third"));
      writer.flush();
      writer.send(record(topic, 3, "tombstone", null)); // the cleaner writes the time of its deletion into the batch
      writer.flush();
      // Segments roll by the records' own time, and the active segment is never cleaned.
      writer.send(record(topic, 60_000, "last", "in the next segment"));
    }
  }

  static KafkaProducer<byte[], byte[]> producer(Map<String, Object> settings) {
    var all = new java.util.HashMap<String, Object>(settings);
    all.put("bootstrap.servers", bootstrap);
    all.put("linger.ms", 60_000); // a batch ends where flush says so
    all.put("delivery.timeout.ms", 120_000);
    all.put("batch.size", 900_000);
    return new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer());
  }

  static void create(String topic, Map<String, String> settings) throws Exception {
    try (var admin = Admin.create(Map.<String, Object>of("bootstrap.servers", bootstrap))) {
      admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1).configs(settings))).all().get();
    }
  }

  static ProducerRecord<byte[], byte[]> record(String topic, long millis, String key, String value) {
    return new ProducerRecord<>(topic, 0, NOON + millis, bytes(key), bytes(value));
  }

  static byte[] bytes(String text) {
    return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
  }

  static void check(String topic, List<ProducerRecord<byte[], byte[]>> sent, boolean timestamps) {
    List<ConsumerRecord<byte[], byte[]>> read = new ArrayList<>();
    var partition = new TopicPartition(topic, 0);
    try (var consumer = new KafkaConsumer<>(Map.of("bootstrap.servers", bootstrap), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
      while (read.size() < sent.size() && System.nanoTime() < deadline) consumer.poll(Duration.ofMillis(200)).forEach(read::add);
    }
    if (read.size() != sent.size()) throw new IllegalStateException(topic + ": sent " + sent.size() + ", read " + read.size());
    for (int i = 0; i < sent.size(); i++) {
      var want = sent.get(i);
      var got = read.get(i);
      boolean same = got.offset() == i && Arrays.equals(want.key(), got.key()) && Arrays.equals(want.value(), got.value())
          && Arrays.equals(headers(want.headers().toArray()), headers(got.headers().toArray()))
          && (!timestamps || want.timestamp() == got.timestamp());
      if (!same) throw new IllegalStateException(topic + ": record " + i + " came back different");
    }
  }

  static String[] headers(Header[] headers) {
    return Arrays.stream(headers).map(header -> header.key() + "=" + Arrays.toString(header.value())).toArray(String[]::new);
  }
}
