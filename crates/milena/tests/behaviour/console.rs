//! Kafka's console tools read milena's records, and milena reads theirs. Only on a real Kafka.

use std::process::{Command, Stdio};

use milena::serializer::{BigEndianCodec, TextCodec};
use milena::{Compression, ProducerBuilderExt, ProducerRecord};

use crate::cluster::{World, within};

/// Returns the program that runs one of Kafka's tools.
fn tool() -> String {
    let tool = std::env::var("MILENA_TEST_KAFKA_TOOL");
    tool.expect(
        "MILENA_TEST_KAFKA_TOOL is a program that runs Kafka's tools; scripts/test-real-kafka sets it",
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka's own tools; scripts/test-real-kafka runs it"]
async fn the_console_consumer_reads_each_codec_of_ours() {
    let (tool, world) = (tool(), World::new().await);
    for codec in [
        Compression::None,
        Compression::GZIP,
        Compression::Snappy,
        Compression::LZ4,
        Compression::ZSTD,
    ] {
        let topic = world.topic(1).await;
        let producer = world.client.producer().compression(codec).build().unwrap();
        let lines: Vec<String> = (0..200)
            .map(|n| format!("{codec:?} line {n}, which compresses well, well, well"))
            .collect();
        let records = lines
            .iter()
            .map(|line| ProducerRecord::new(&topic).key("k").value(line.clone()));
        for result in within(producer.send_all(records)).await {
            result.unwrap();
        }
        let output = Command::new(&tool)
            .args([
                "console-consumer",
                "--bootstrap-server",
                &world.cluster.bootstrap()[0],
                "--topic",
                &topic,
            ])
            .args([
                "--from-beginning",
                "--max-messages",
                "200",
                "--timeout-ms",
                "30000",
            ])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let read = String::from_utf8(output.stdout).unwrap();
        assert_eq!(read.lines().collect::<Vec<_>>(), lines, "{codec:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka's own tools; scripts/test-real-kafka runs it"]
async fn we_read_each_codec_of_the_console_producer() {
    let (tool, world) = (tool(), World::new().await);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = world.topic(1).await;
        let lines: String = (0..200)
            .map(|n| format!("{codec} line {n}, which compresses well, well, well\n"))
            .collect();
        let mut child = Command::new(&tool)
            .args([
                "console-producer",
                "--bootstrap-server",
                &world.cluster.bootstrap()[0],
                "--topic",
                &topic,
            ])
            .args(["--compression-codec", codec])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        let read = world.read(&topic, 200).await;
        let values: Vec<_> = read
            .iter()
            .map(|record| record.value.as_deref().unwrap())
            .collect();
        assert_eq!(
            values,
            lines.lines().map(str::as_bytes).collect::<Vec<_>>(),
            "{codec}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kafka's own tools; scripts/test-real-kafka runs it"]
async fn javas_deserializers_read_our_numbers_and_texts() {
    let (tool, world) = (tool(), World::new().await);
    let producer = world.client.producer().key::<i64>(BigEndianCodec);
    let long = producer.value::<f64>(BigEndianCodec).build().unwrap();
    let producer = world.client.producer().key::<i32>(BigEndianCodec);
    let int = producer.value::<f32>(BigEndianCodec).build().unwrap();
    let producer = world.client.producer().key::<i16>(BigEndianCodec);
    let short = producer.value::<str>(TextCodec).build().unwrap();
    let topics = [
        world.topic(1).await,
        world.topic(1).await,
        world.topic(1).await,
    ];
    let sent = long
        .topic(&topics[0])
        .send(Some(&i64::MIN), Some(&-0.15625))
        .await;
    sent.unwrap();
    int.topic(&topics[1])
        .send(Some(&-2), Some(&1.5))
        .await
        .unwrap();
    short
        .topic(&topics[2])
        .send(Some(&4660), Some("blåbær"))
        .await
        .unwrap();
    for (topic, key, value, expected) in [
        (
            &topics[0],
            "Long",
            "Double",
            "-9223372036854775808\t-0.15625",
        ),
        (&topics[1], "Integer", "Float", "-2\t1.5"),
        (&topics[2], "Short", "String", "4660\tblåbær"),
    ] {
        let class =
            |name: &str| format!("org.apache.kafka.common.serialization.{name}Deserializer");
        let output = Command::new(&tool)
            .args(["console-consumer", "--bootstrap-server"])
            .args([&world.cluster.bootstrap()[0], "--topic", topic])
            .args(["--from-beginning", "--max-messages", "1"])
            .args(["--timeout-ms", "30000", "--property", "print.key=true"])
            .args(["--property", &format!("key.deserializer={}", class(key))])
            .args([
                "--property",
                &format!("value.deserializer={}", class(value)),
            ])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let read = String::from_utf8(output.stdout).unwrap();
        // Newer tools print a warning about a renamed option first.
        assert_eq!(read.lines().last(), Some(expected), "{key} and {value}");
    }
}
