// Reads record bytes as a broker stores and sends them, with Kafka's own classes, and prints their content as JSON.
// Arguments: the file, then "field=text" pairs that are copied to the head of the JSON.

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;

class Describe {
  public static void main(String[] args) throws Exception {
    byte[] bytes = Files.readAllBytes(Path.of(args[0]));
    List<String> lines = new ArrayList<>();
    for (int i = 1; i < args.length; i++) {
      String[] pair = args[i].split("=", 2);
      lines.add("  " + quoted(pair[0]) + ": " + quoted(pair[1]));
    }
    lines.add("  \"bytes\": " + bytes.length);
    List<String> batches = new ArrayList<>();
    for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)).batches()) {
      batch.ensureValid();
      batches.add(batch(batch));
    }
    lines.add("  \"batches\": [\n" + String.join(",\n", batches) + "\n  ]");
    System.out.println("{\n" + String.join(",\n", lines) + "\n}");
  }

  static String batch(MutableRecordBatch batch) {
    List<String> fields = new ArrayList<>();
    fields.add("\"magic\": " + batch.magic());
    fields.add("\"size\": " + batch.sizeInBytes());
    fields.add("\"codec\": " + quoted(batch.compressionType().name));
    fields.add("\"base_offset\": " + batch.baseOffset());
    fields.add("\"last_offset\": " + batch.lastOffset());
    fields.add("\"timestamp_type\": " + quoted(batch.timestampType().name));
    fields.add("\"max_timestamp\": " + batch.maxTimestamp());
    if (batch instanceof DefaultRecordBatch v2) {
      fields.add("\"base_timestamp\": " + v2.baseTimestamp());
      if (batch.deleteHorizonMs().isPresent()) fields.add("\"delete_horizon\": " + batch.deleteHorizonMs().getAsLong());
      fields.add("\"crc\": " + v2.checksum());
      fields.add("\"leader_epoch\": " + v2.partitionLeaderEpoch());
      fields.add("\"producer_id\": " + v2.producerId());
      fields.add("\"producer_epoch\": " + v2.producerEpoch());
      fields.add("\"base_sequence\": " + v2.baseSequence());
      fields.add("\"transactional\": " + v2.isTransactional());
      fields.add("\"control\": " + v2.isControlBatch());
      fields.add("\"count\": " + v2.countOrNull());
    }
    List<String> records = new ArrayList<>();
    for (Record record : batch) records.add("        " + record(record, batch));
    String body = records.isEmpty() ? "[]" : "[\n" + String.join(",\n", records) + "\n      ]";
    fields.add("\n      \"records\": " + body);
    return "    {" + String.join(", ", fields).replace(" \n", "\n") + "}";
  }

  static String record(Record record, MutableRecordBatch batch) {
    String control = batch.isControlBatch() ? ", \"control\": " + quoted(ControlRecordType.parse(record.key()).name().toLowerCase()) : "";
    List<String> headers = new ArrayList<>();
    for (Header header : record.headers())
      headers.add("[" + hex(header.key().getBytes(java.nio.charset.StandardCharsets.UTF_8)) + ", " + hex(header.value()) + "]");
    return "{\"offset\": " + record.offset() + ", \"timestamp\": " + record.timestamp()
        + ", \"key\": " + hex(bytes(record.key())) + ", \"value\": " + hex(bytes(record.value()))
        + ", \"headers\": [" + String.join(", ", headers) + "]" + control + "}";
  }

  static byte[] bytes(ByteBuffer buffer) {
    if (buffer == null) return null;
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return bytes;
  }

  // Returns hex text. Bytes that repeat one 16-byte pattern become {"repeat": hex, "times": n}, and null stays null.
  static String hex(byte[] bytes) {
    if (bytes == null) return "null";
    if (bytes.length > 64 && bytes.length % 16 == 0) {
      boolean repeats = true;
      for (int i = 16; i < bytes.length && repeats; i++) repeats = bytes[i] == bytes[i - 16];
      if (repeats)
        return "{\"repeat\": " + quoted(HexFormat.of().formatHex(bytes, 0, 16)) + ", \"times\": " + bytes.length / 16 + "}";
    }
    return quoted(HexFormat.of().formatHex(bytes));
  }

  static String quoted(String text) {
    return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
  }
}
