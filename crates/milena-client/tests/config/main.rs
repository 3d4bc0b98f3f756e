//! Settings from files, the environment and other clients' properties. Each is accepted, or refused
//! with its place and the remedy.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that goes wrong"
)]

mod defaults;
mod texts;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use milena_broker::Broker;
use milena_client::config::{Fate, explain_properties, keys};
use milena_client::{Client, ClientBuilder};
use milena_core::{ErrorKind, ProducerRecord, Result};

/// A file that is deleted with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        // Tests run at the same time and use the same file names.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("milena-config-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = self.0.parent().map(std::fs::remove_dir);
    }
}

fn file(name: &str, text: &str) -> Result<ClientBuilder> {
    let file = File::new(name, text);
    Client::from_file(&file.0)
}

fn none() -> ClientBuilder {
    Client::builder().variables([("PATH", "/bin")]).unwrap()
}

#[track_caller]
fn refused(result: Result<ClientBuilder>, parts: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

const YAML: &str = "
# the shop
bootstrap: [kafka-1:9092, \"kafka-2:9092\"]
client_id: billing
backoff: 50ms..2s
producer:
  linger: 5ms
  compression: zstd:3
consumer:
  auto_offset_reset: duration:6h
  order: key:8
  check_crcs: false
";

const TOML: &str = r#"
# the shop
bootstrap = ["kafka-1:9092", "kafka-2:9092"]
client_id = "billing"
backoff = "50ms..2s"
[producer]
linger = "5ms"
compression = "zstd:3"
[consumer]
auto_offset_reset = "duration:6h"
order = "key:8"
check_crcs = false
"#;

#[test]
fn yaml_toml_and_the_environment_say_the_same() {
    let yaml = file("same.yaml", YAML).unwrap();
    let toml = file("same.toml", TOML).unwrap();
    let env = none().variables([
        ("MILENA_BOOTSTRAP", "kafka-1:9092, kafka-2:9092"),
        ("MILENA_CLIENT_ID", "billing"),
        ("MILENA_BACKOFF", "50ms..2s"),
        ("MILENA_PRODUCER_LINGER", "5ms"),
        ("MILENA_PRODUCER_COMPRESSION", "zstd:3"),
        ("MILENA_CONSUMER_AUTO_OFFSET_RESET", "duration:6h"),
        ("MILENA_CONSUMER_ORDER", "key:8"),
        ("MILENA_CONSUMER_CHECK_CRCS", "false"),
        ("MILENA_CONSUMER_TOPICS", ""),
        ("MILENA_TEST_BOOTSTRAP", "elsewhere:9092"),
        ("MILENA_REQUIRE_KAFKA", "1"),
    ]);
    let env = format!("{:?}", env.unwrap());
    let shown = format!("{yaml:?}");
    assert_eq!(shown, format!("{toml:?}"));
    for part in [
        "kafka-2:9092",
        "billing",
        "50ms..2s",
        "5ms",
        "zstd:3",
        "duration:6h",
        "key:8",
    ] {
        assert!(shown.contains(part), "`{part}` is not in: {shown}");
        assert!(env.contains(part), "`{part}` is not in: {env}");
    }
    assert!(!env.contains("elsewhere"), "{env}");
}

#[test]
fn a_slip_names_file_line_key_and_what_was_meant() {
    for (name, text, line) in [
        (
            "slip.yaml",
            "bootstrap: a:1\nproducer:\n  lingr: 5ms\n",
            "line 3",
        ),
        (
            "slip.toml",
            "bootstrap = \"a:1\"\n[producer]\nlingr = \"5ms\"\n",
            "line 3",
        ),
    ] {
        refused(
            file(name, text),
            &[name, line, "producer.lingr", "did you mean `linger`?"],
        );
    }
    refused(
        file("kafka.yaml", "producer:\n  linger.ms: 5\n"),
        &[
            "line 2",
            "milena's name for it is `producer.linger`",
            "100ms",
        ],
    );
    refused(
        file("place.yaml", "linger: 5ms\n"),
        &["line 1", "as `producer.linger`"],
    );
    refused(
        file("far.yaml", "consumer:\n  colour: blue\n"),
        &["consumer.colour", "there are topics, ", "max_attempts"],
    );
    refused(
        file("section.toml", "[producers]\nlinger = \"5ms\"\n"),
        &[
            "line 2",
            "`producers` is no section",
            "producer and consumer",
        ],
    );
}

#[test]
fn a_wrong_value_names_line_key_value_and_what_is_allowed() {
    for (text, parts) in [
        (
            "producer:\n  linger: 5\n",
            ["line 2", "producer.linger", "`5`", "a time with its unit"],
        ),
        (
            "producer:\n\n  compression: brotli\n",
            ["line 3", "producer.compression", "`brotli`", "lz4 or zstd"],
        ),
        (
            "request_timeout: [1s]\n",
            [
                "line 1",
                "request_timeout",
                "`[1s]`",
                "a time with its unit",
            ],
        ),
        (
            "consumer:\n  check_crcs: yes\n",
            ["line 2", "consumer.check_crcs", "`yes`", "true or false"],
        ),
        (
            "consumer:\n  order: key:0\n",
            ["line 2", "consumer.order", "`key:0`", "key:8"],
        ),
        (
            "address_map: a:1\n",
            ["line 1", "address_map", "`a:1`", "host:port=host:port"],
        ),
    ] {
        refused(file("wrong.yaml", text), &parts);
    }
}

#[test]
fn files_that_are_broken_nested_or_tricky_are_refused_with_the_line() {
    for (name, text, parts) in [
        (
            "broken.yaml",
            "client_id: x\nproducer: [\n",
            &["broken.yaml line ", "invalid YAML"][..],
        ),
        (
            "broken.toml",
            "client_id = \"x\"\nproducer = [\n",
            &["broken.toml line ", "invalid TOML"],
        ),
        (
            "twice.yaml",
            "client_id: x\nclient_id: y\n",
            &["line 2", "a second time"],
        ),
        (
            "twice.toml",
            "client_id = \"x\"\nclient_id = \"y\"\n",
            &["line 2"],
        ),
        (
            "deep.yaml",
            "producer:\n  linger:\n    ms: 5\n",
            &["line 2", "`linger` holds keys"],
        ),
        (
            "deep.toml",
            "[producer.linger]\nms = 5\n",
            &["line 1", "`linger` holds keys"],
        ),
        (
            "alias.yaml",
            "client_id: &a x\ngroup: *a\n",
            &["line 1", "aliases"],
        ),
        ("list.yaml", "- a\n- b\n", &["line 1", "keys with values"]),
        (
            "two.yaml",
            "client_id: x\n---\ngroup: y\n",
            &["line 2", "one document"],
        ),
        (
            "form.json",
            "{}",
            &["form.json", ".yaml, .yml, .toml or .properties"],
        ),
    ] {
        refused(file(name, text), parts);
    }
    let deep = format!("bootstrap: {}", "[".repeat(100_000));
    refused(file("brackets.yaml", &deep), &["line 1"]);
    let large = format!("client_id: x # {}", "x".repeat(2 << 20));
    refused(file("large.yaml", &large), &["larger than"]);
    let missing = Client::from_file("there-is-no-such-file.yaml").unwrap_err();
    assert!(missing.to_string().contains("there-is-no-such-file.yaml"));
    let empty = file("empty.yaml", "# nothing yet\n").unwrap();
    assert!(format!("{empty:?}").contains("settings: {}"), "{empty:?}");
}

#[test]
fn the_section_app_is_left_to_the_program() {
    let yaml = file(
        "x.yaml",
        "app:\n  http: {port: 8080, tls: {cert: &c a.pem, key: *c}}\n  linger: [1, [2, !t 3]]\n  ? [a]\n  : b\n\
         producer:\n  linger: 5ms\n",
    );
    let toml = file(
        "x.toml",
        "[producer]\nlinger = \"5ms\"\n[app.http]\nport = 8080\ntls = { cert = \"a.pem\" }\n[[app.shards]]\nid = 1\n",
    );
    let plain = none().set("producer.linger", "5ms").unwrap();
    for builder in [yaml.unwrap(), toml.unwrap()] {
        assert_eq!(format!("{builder:?}"), format!("{plain:?}"));
    }
    for text in ["app:\n", "app: 5\n", "app: [1]\n", "app: ~\n"] {
        let builder = file("x.yaml", text).unwrap();
        assert_eq!(format!("{builder:?}"), format!("{:?}", none()), "{text}");
    }
}

#[test]
fn only_the_section_app_at_the_top_is_left_to_the_program() {
    refused(
        file("x.yaml", "http:\n  port: 8080\n"),
        &["line 2", "`http` is no section", "below `app`"],
    );
    refused(
        file("x.yaml", "producer:\n  app: {a: 1}\n"),
        &["line 2", "`app`"],
    );
    refused(
        file("x.toml", "[producer]\napp = 1\n"),
        &["line 2", "`producer.app` is no setting"],
    );
    refused(
        file("x.yaml", "app:\n  a: 1\napp:\n  b: 2\n"),
        &["line 3", "`app` is there a second time"],
    );
    refused(
        file("x.yaml", "app: {a: &x 5ms}\nproducer:\n  linger: *x\n"),
        &["line 3", "aliases"],
    );
    // What cannot be read at all is refused within the section too.
    refused(
        file("x.yaml", "app: {a: 1\nclient_id: x\n"),
        &["invalid YAML"],
    );
    refused(none().set("app.port", "1"), &["`app` is no section"]);
}

#[test]
fn a_variable_of_others_is_passed_over_and_a_wrong_value_is_refused() {
    // The variables that Kubernetes sets in each pod for a Service with the name `milena-orders`.
    let foreign = none().variables([
        ("MILENA_ORDERS_SERVICE_HOST", "10.96.0.12"),
        ("MILENA_ORDERS_PORT", "tcp://10.96.0.12:80"),
        ("MILENA_HOME", "/srv"),
        ("MILENA_PRODUCER_LINGR", "5ms"),
        ("MILENA_CLIENT_ID", "billing"),
    ]);
    let shown = format!("{:?}", foreign.unwrap());
    assert!(
        shown.contains("billing") && !shown.contains("5ms"),
        "{shown}"
    );
    let wrong = none().variables([("MILENA_PRODUCER_LINGER", "soon")]);
    refused(
        wrong,
        &["MILENA_PRODUCER_LINGER", "`soon`", "a time with its unit"],
    );
}

#[test]
fn the_environment_goes_over_the_file_that_it_names() {
    let base = File::new("base.toml", "client_id = \"base\"\ngroup = \"billing\"\n");
    let path = base.0.to_str().unwrap().to_owned();
    let builder = none().variables([
        ("MILENA_CLIENT_ID", "over".to_owned()),
        ("MILENA_CONFIG", path),
    ]);
    let shown = format!("{:?}", builder.unwrap());
    assert!(
        shown.contains("\"over\"") && !shown.contains("\"base\""),
        "{shown}"
    );
    assert!(shown.contains("billing"), "{shown}");
}

#[test]
fn properties_of_a_java_client_are_kept_mapped_or_refused_with_the_reason() {
    let text = "# a producer's\nbootstrap.servers=kafka-1:9092,kafka-2:9092\nlinger.ms=5\nretry.backoff.ms = 200\n\
                retry.backoff.max.ms=3000\ncompression.type=zstd\ncompression.zstd.level=7\nretries=2147483647\n\
                max.poll.interval.ms=300000\nauto.offset.reset=by_duration:PT6H\nenable.auto.commit=true\n\
                partitioner.availability.timeout.ms=0\npartition.assignment.strategy=org.apache.kafka.clients.consumer.RangeAssignor\n";
    let shown = format!("{:?}", file("java.properties", text).unwrap());
    for part in [
        "kafka-2:9092",
        "5000us",
        "200ms..3000ms",
        "zstd:7",
        "300000ms",
        "duration:21600s",
        "\"consumer.assignors\": \"range\"",
    ] {
        assert!(shown.contains(part), "`{part}` is not in: {shown}");
    }
    let text = "linger.ms=5\ninterceptor.classes=org.example.Mine\nssl.keystore.password=hunter2\n";
    let error = file("bad.properties", text);
    let shown = error.as_ref().unwrap_err().to_string();
    refused(
        error,
        &[
            "bad.properties line 2",
            "`interceptor.classes` is refused",
            "tower layers",
            "ssl.keystore.password (line 3)",
        ],
    );
    assert!(!shown.contains("hunter2"), "{shown}");

    let told = explain_properties([
        ("linger.ms", "5"),
        ("queued.max.messages.kbytes", "65536"),
        ("enable.auto.commit", "false"),
        ("security.protocol", "SASL_SSL"),
        ("lingr.ms", "5"),
        ("batch.size", "much"),
    ]);
    let fates: Vec<_> = told.into_iter().map(|property| property.fate).collect();
    assert_eq!(fates[0], Fate::Kept);
    assert_eq!(
        fates[1],
        Fate::Mapped(vec!["consumer.buffer_memory = 65536KiB".to_owned()])
    );
    let why = |fate: &Fate| match fate {
        Fate::Refused(why) => why.clone(),
        other => format!("{other:?}"),
    };
    let manual = Fate::Mapped(vec!["consumer.manual_commit = true".to_owned()]);
    assert_eq!(fates[2], manual);
    assert!(why(&fates[3]).contains("TLS"), "{:?}", fates[3]);
    assert!(
        why(&fates[4]).contains("did you mean `linger.ms`?"),
        "{:?}",
        fates[4]
    );
    assert!(why(&fates[5]).contains("`much`"), "{:?}", fates[5]);
}

#[test]
fn every_key_is_reached_by_its_path_and_its_variable() {
    for key in keys().filter(|key| !key.default.is_empty()) {
        let _ = none().set(&key.path(), key.default).unwrap();
        let _ = none().variables([(key.variable(), key.default)]).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn producers_and_consumers_are_made_as_the_settings_say() {
    let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
    let started = |builder: ClientBuilder| {
        builder
            .bootstrap(broker.bootstrap())
            .connector(broker.dialer())
    };
    let settings = "producer:\n  linger: 3s\n  acks: 1\nconsumer:\n  topics: orders\n  auto_offset_reset: latest\ngroup: billing\n";
    let client = started(file("made.yaml", settings).unwrap())
        .connect()
        .await
        .unwrap();

    let producer = client.producer().build().unwrap();
    let began = tokio::time::Instant::now();
    producer
        .send(ProducerRecord::new("orders").value("first"))
        .await
        .unwrap();
    assert!(began.elapsed() >= Duration::from_secs(3));

    let group = client.group().unwrap().clone();
    assert_eq!(&*group, "billing");
    let consumer = client.consumer(group).build().unwrap();
    let late = async {
        while consumer.assignment().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        producer
            .send(ProducerRecord::new("orders").value("second"))
            .await
            .unwrap();
    };
    let (received, ()) = tokio::join!(consumer.recv(), late);
    assert_eq!(received.unwrap().value.as_deref(), Some(&b"second"[..]));

    // A setter of the program wins over the settings.
    let quick = client.producer().linger(Duration::ZERO).build().unwrap();
    let began = tokio::time::Instant::now();
    quick
        .send(ProducerRecord::new("orders").value("third"))
        .await
        .unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn settings_that_disagree_are_refused_by_the_producer_with_both_values() {
    let broker = Broker::builder().start().await.unwrap();
    let builder = file(
        "odds.yaml",
        "producer:\n  acks: 1\n  enable_idempotence: true\n",
    )
    .unwrap();
    let builder = builder
        .bootstrap(broker.bootstrap())
        .connector(broker.dialer());
    let client = builder.connect().await.unwrap();
    let error = client.producer().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("acks=1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_defaults_of_the_table_are_those_of_a_producer() {
    let broker = Broker::builder().start().await.unwrap();
    let build = async |builder: ClientBuilder| {
        let builder = builder
            .bootstrap(broker.bootstrap())
            .connector(broker.dialer());
        let client = builder.connect().await.unwrap();
        format!("{:?}", client.producer().build().unwrap())
    };
    let plain = build(Client::builder()).await;
    let mut told = Client::builder();
    for key in keys().filter(|key| !key.default.is_empty() && key.name != "batch_size") {
        told = told.set(&key.path(), key.default).unwrap();
    }
    assert_eq!(build(told).await, plain);
}
