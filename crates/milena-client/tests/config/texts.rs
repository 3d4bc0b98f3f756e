//! Texts as editors, shells, charts and consoles write them. They are understood or refused by
//! name, and never shown if they may be secret.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use milena_client::config::{Fate, explain_properties_text};
use milena_client::{Client, ClientBuilder};
use milena_core::{Address, Error, ErrorKind, Result};

use crate::{file, none, refused};

#[test]
fn an_address_that_the_program_gives_replaces_those_of_file_and_environment() {
    let bootstrap = |builder: &ClientBuilder| {
        let shown = format!("{builder:?}");
        let (_, rest) = shown.split_once("bootstrap: ").unwrap();
        rest.split_once(", group").unwrap().0.to_owned()
    };
    let builder = file("prod.yaml", "bootstrap: [kafka-1:9092, kafka-2:9092]\n").unwrap();
    let builder = builder
        .variables([("MILENA_BOOTSTRAP", "kafka-3:9092")])
        .unwrap();
    assert_eq!(bootstrap(&builder), r#"["kafka-3:9092"]"#);
    let builder = builder.bootstrap("localhost:1");
    assert_eq!(bootstrap(&builder), r#"["localhost:1"]"#);
    let builder = builder.bootstrap(" ,\n");
    assert_eq!(
        bootstrap(&builder),
        r#"["localhost:1"]"#,
        "no address says nothing"
    );
    let builder = builder.add_bootstrap(["localhost:2", ""]);
    assert_eq!(bootstrap(&builder), r#"["localhost:1", "localhost:2"]"#);
}

/// Returns the ways to set an address. Each is read before anything is dialed.
fn ways(text: &str) -> Vec<(&'static str, Result<ClientBuilder>)> {
    let quoted = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    let property = text.replace('\\', "\\\\").replace('\n', "\\n");
    vec![
        ("variable", none().variables([("MILENA_BOOTSTRAP", text)])),
        ("method", Ok(Client::builder().bootstrap(text))),
        (
            "yaml",
            file("way.yaml", &format!("bootstrap: \"{quoted}\"\n")),
        ),
        (
            "toml",
            file("way.toml", &format!("bootstrap = \"{quoted}\"\n")),
        ),
        (
            "properties",
            file("way.properties", &format!("bootstrap.servers={property}\n")),
        ),
    ]
}

/// Connects, and returns the error with the addresses that were dialed.
async fn dial(builder: Result<ClientBuilder>) -> (Error, Vec<String>) {
    let builder = match builder {
        Ok(builder) => builder,
        Err(error) => return (error, Vec::new()),
    };
    let dialed = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&dialed);
    let builder = builder
        .api_timeout(std::time::Duration::from_millis(50))
        .connector(move |address: Address| {
            heard.lock().unwrap().push(address.to_string());
            async { Err::<tokio::io::DuplexStream, _>(std::io::Error::other("nobody listens")) }
        });
    let error = builder.connect().await.unwrap_err();
    let mut dialed = dialed.lock().unwrap().clone();
    dialed.sort();
    dialed.dedup();
    (error, dialed)
}

#[tokio::test(start_paused = true)]
async fn an_address_is_taken_in_the_same_way_wherever_it_is_written() {
    for text in [
        "127.0.0.1:19392",
        "PLAINTEXT://127.0.0.1:19392",
        "plaintext://127.0.0.1:19392",
        "127.0.0.1:19392,",
        " 127.0.0.1:19392 , 127.0.0.1:19392",
        "127.0.0.1:19392\n",
    ] {
        for (way, builder) in ways(text) {
            let (error, dialed) = dial(builder).await;
            assert_eq!(dialed, ["127.0.0.1:19392"], "{way} {text:?}: {error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_cannot_be_meant_is_refused_in_every_way_and_never_dialed() {
    for (text, why) in [
        ("SASL_SSL://127.0.0.1:19392", "TLS or SASL"),
        ("SSL://127.0.0.1:19392", "TLS or SASL"),
        ("SASL_PLAINTEXT://127.0.0.1:19392", "TLS or SASL"),
        ("kafka://127.0.0.1:19392", "only PLAINTEXT"),
        ("tcp://10.96.0.12:9092", "only PLAINTEXT"),
        ("\"127.0.0.1:19392\"", "quotes"),
        ("user:CANARY@127.0.0.1:19392", "`@`"),
        ("user:CAN,CANARY@127.0.0.1:19392", "`@`"),
        ("${STAMP_BROKERS}", "${STAMP_BROKERS}"),
        ("{{ .Values.brokers }}", "placeholder"),
        ("%STAMP_BROKERS%", "%STAMP_BROKERS%"),
        ("127.0.0.1:19392, ssl://127.0.0.1:19393", "TLS or SASL"),
    ] {
        for (way, builder) in ways(text) {
            let shown = format!("{builder:?}");
            assert!(!shown.contains("CANARY"), "{way}: {shown}");
            let (error, dialed) = dial(builder).await;
            assert_eq!(error.kind(), ErrorKind::Config, "{way} {text:?}: {error}");
            let told = all_texts(&error);
            assert!(told.contains(why), "{way} {text:?}: {told}");
            assert!(!told.contains("CANARY"), "{way}: {told}");
            assert!(dialed.is_empty(), "{way} {text:?}: {dialed:?}");
        }
    }
}

/// Returns all texts that an error can show.
fn all_texts(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(" {inner} {inner:?}"));
        cause = inner.source();
    }
    text
}

#[test]
fn what_says_nothing_leaves_the_setting_as_it_was() {
    let base = "bootstrap: a:1\nclient_id: base\ngroup: billing\nproducer:\n  linger: 5ms\n";
    let nothing = [
        (
            "empty.yaml",
            "bootstrap: \"\"\nclient_id: ~\ngroup: null\nproducer:\nconsumer: ~\n",
        ),
        (
            "empty2.yaml",
            "bootstrap:\nclient_id: Null\ngroup: NULL\nproducer:\n  linger:\n",
        ),
        (
            "empty.toml",
            "bootstrap = \"\"\nclient_id = \" \"\n[producer]\nlinger = \"\"\n",
        ),
        (
            "empty.properties",
            "bootstrap.servers=\nclient.id=null\ngroup.id = \nlinger.ms=\n",
        ),
    ];
    let plain = format!("{:?}", file("base.yaml", base).unwrap());
    for (name, text) in nothing {
        let path = crate::File::new(name, text);
        let over = file("base.yaml", base).unwrap().file(&path.0).unwrap();
        assert_eq!(format!("{over:?}"), plain, "{name}");
    }
    let over = file("base.yaml", base).unwrap();
    let over = over
        .variables([("MILENA_BOOTSTRAP", ""), ("MILENA_CLIENT_ID", " ")])
        .unwrap();
    assert_eq!(format!("{over:?}"), plain);
    // A null value does not bypass the check of names.
    refused(
        file("slip.yaml", "clientid: ~\n"),
        &["clientid", "did you mean `client_id`?"],
    );
}

#[test]
fn numbers_and_truth_values_mean_what_yaml_and_toml_say() {
    let said = |builder: Result<ClientBuilder>, part: &str| {
        let shown = format!("{:?}", builder.unwrap());
        assert!(shown.contains(part), "`{part}` is not in: {shown}");
    };
    for word in ["true", "True", "TRUE"] {
        let text = format!("consumer:\n  manual_commit: {word}\n");
        said(file("bool.yaml", &text), word);
    }
    for text in [
        "consumer:\n  manual_commit: yes\n",
        "consumer:\n  manual_commit: on\n",
    ] {
        refused(file("no-bool.yaml", text), &["line 2", "true or false"]);
    }
    said(
        file("octal.yaml", "consumer:\n  max_out_of_order: 0o20\n"),
        "0o20",
    );
    said(
        file("hex.yaml", "producer:\n  batch_size: 0x10000\n"),
        "0x10000",
    );
    refused(
        file("no-octal.yaml", "consumer:\n  max_out_of_order: 0o9\n"),
        &["line 2", "a whole number"],
    );
    let toml = "[producer]\nbatch_size = 0x1_0000\n[consumer]\nmax_out_of_order = 1_000\nmanual_commit = true\n";
    said(file("numbers.toml", toml), "max_out_of_order");
}

#[tokio::test(start_paused = true)]
async fn a_number_of_another_base_has_its_value() {
    let broker = milena_broker::Broker::builder().start().await.unwrap();
    for (name, text, size) in [
        ("a.yaml", "producer:\n  batch_size: 0o2000\n", "1024"),
        ("b.yaml", "producer:\n  batch_size: 0x400\n", "1024"),
        ("c.yaml", "producer:\n  batch_size: +1024\n", "1024"),
        ("d.toml", "[producer]\nbatch_size = 0o2_000\n", "1024"),
    ] {
        let with = async |builder: ClientBuilder| {
            let builder = builder
                .bootstrap(broker.bootstrap())
                .connector(broker.dialer());
            let client = builder.connect().await.unwrap();
            format!("{:?}", client.producer().build().unwrap())
        };
        let plain = with(Client::builder().set("producer.batch_size", size).unwrap()).await;
        assert_eq!(with(file(name, text).unwrap()).await, plain, "{name}");
    }
}

#[test]
fn a_byte_order_mark_and_line_ends_of_windows_are_passed_over() {
    for (name, text) in [
        (
            "bom.properties",
            "\u{feff}bootstrap.servers=a:1\r\nclient.id=stamp-shop\r\n",
        ),
        (
            "bom.yaml",
            "\u{feff}bootstrap: a:1\r\nclient_id: stamp-shop\r\n",
        ),
        (
            "bom.toml",
            "\u{feff}bootstrap = \"a:1\"\r\nclient_id = \"stamp-shop\"\r\n",
        ),
    ] {
        let shown = format!("{:?}", file(name, text).unwrap());
        assert!(
            shown.contains("\"a:1\"") && shown.contains("\"stamp-shop\""),
            "{name}: {shown}"
        );
    }
}

#[test]
fn quotes_and_placeholders_are_refused_by_key_and_line() {
    for (name, text, parts) in [
        (
            "q.properties",
            "\nclient.id='stamp-shop'\n",
            ["line 2", "`client.id`", "quotes"],
        ),
        (
            "q.properties",
            "acks=\"all\"\n",
            ["line 1", "`acks`", "quotes"],
        ),
        (
            "p.properties",
            "client.id=${CLIENT:-hunter2}\n",
            ["line 1", "`client.id`", "`${CLIENT}`"],
        ),
        (
            "p.properties",
            "linger.ms=5\ngroup.id=%GROUP%\n",
            ["line 2", "`group.id`", "`%GROUP%`"],
        ),
        (
            "p.yaml",
            "client_id: \"{{ .Values.id }}\"\n",
            ["line 1", "`client_id`", "nothing is expanded"],
        ),
        (
            "p.yaml",
            "bootstrap: a:1\ngroup: $STAMP_GROUP\n",
            ["line 2", "`group`", "`$STAMP_GROUP`"],
        ),
        (
            "p.toml",
            "client_id = \"${CLIENT}\"\n",
            ["line 1", "`client_id`", "`${CLIENT}`"],
        ),
        (
            "p.yaml",
            "consumer:\n  topics: [a, \"${B}\"]\n",
            ["line 2", "consumer.topics", "`${B}`"],
        ),
    ] {
        refused(file(name, text), &parts);
    }
    refused(
        none().variables([("MILENA_GROUP", "${STAMP_GROUP}")]),
        &["MILENA_GROUP", "${STAMP_GROUP}", "nothing is expanded"],
    );
    refused(none().set("client_id", "'x'"), &["client_id", "quotes"]);
    // A single character of these is no placeholder.
    let pattern = none()
        .set("consumer.topic_pattern", "^orders\\.[a-z]{2}$")
        .unwrap();
    let _ = pattern
        .set("consumer.commit_metadata", "100% of 5$")
        .unwrap();
}

#[test]
fn a_key_that_is_there_twice_is_refused_with_both_lines() {
    let text = "linger.ms=5\nlinger.ms=50\nbootstrap.servers=a:1\n";
    refused(
        file("duplicate.properties", text),
        &["line 2", "`linger.ms`", "a second time", "line 1"],
    );
    // Properties that are passed in may be layered, so the later one wins.
    let layered = Client::from_properties([("client.id", "base"), ("client.id", "over")]).unwrap();
    assert!(format!("{layered:?}").contains("\"over\""));
}

const CLOUD: &str = "bootstrap.servers=stamps-0.example.invalid:9092
security.protocol=SASL_SSL
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  username='CANARYUSER02' \\
  password='CANARY=secret:02';
sasl.mechanism=PLAIN
session.timeout.ms=45000
schema.registry.url=https://registry.example.invalid
basic.auth.credentials.source=USER_INFO
basic.auth.user.info=CANARYKEY03:CANARYSECRET03
sasl.pasword=CANARYSECRET04
sasl.jaas.confg=x required password='CANARYSECRET05';
password CANARYSECRET06
linger.ms=password=CANARY07
";

#[test]
fn a_consoles_file_is_refused_line_by_line_and_shows_no_secret() {
    let error = file("cloud.properties", CLOUD).unwrap_err();
    let told = all_texts(&error);
    assert!(!told.contains("CANARY"), "{told}");
    for part in [
        "cloud.properties line 2",
        "security.protocol",
        "sasl.jaas.config (line 3)",
        "sasl.pasword (line 11)",
    ] {
        assert!(told.contains(part), "`{part}` is not in: {told}");
    }
    let told = explain_properties_text(CLOUD).unwrap();
    assert!(!format!("{told:?}").contains("CANARY"), "{told:?}");
    let lines: Vec<_> = told.iter().filter_map(|property| property.line).collect();
    assert_eq!(lines, [1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    let fate = |name: &str| {
        &told
            .iter()
            .find(|property| property.name == name)
            .unwrap()
            .fate
    };
    for name in [
        "schema.registry.url",
        "basic.auth.credentials.source",
        "basic.auth.user.info",
    ] {
        assert!(
            matches!(fate(name), Fate::Ignored(why) if why.contains("schema registry")),
            "{name}: {:?}",
            fate(name)
        );
    }
    for name in ["security.protocol", "sasl.mechanism", "sasl.pasword"] {
        assert!(
            matches!(fate(name), Fate::Refused(why) if why.contains("TLS")),
            "{name}: {:?}",
            fate(name)
        );
    }
}

#[test]
fn a_secret_of_the_wrong_type_or_in_the_wrong_place_is_not_shown() {
    for (name, text) in [
        ("s.yaml", "sasl_password: CANARY\n"),
        ("s.yaml", "producer:\n  password: [CANARY]\n"),
        ("s.yaml", "password:\n  deeper:\n    x: CANARY\n"),
        ("s.yaml", "producer:\n  linger: \"password=CANARY\"\n"),
        ("s.yaml", "address_map: user:CANARY@a:1=b:2\n"),
        ("s.toml", "[sasl]\npassword = \"CANARY\"\n"),
        ("s.toml", "password = { value = \"CANARY\" }\n"),
    ] {
        let told = all_texts(&file(name, text).unwrap_err());
        assert!(!told.contains("CANARY"), "{text}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_any_address_dials_nobody() {
    static DIALED: AtomicUsize = AtomicUsize::new(0);
    let builder = none().variables([("MILENA_BOOTSTRAP", "")]).unwrap();
    let builder = builder.connector(|_: Address| {
        DIALED.fetch_add(1, Ordering::Relaxed);
        async { Err::<tokio::io::DuplexStream, _>(std::io::Error::other("nobody listens")) }
    });
    let error = builder.connect().await.unwrap_err();
    assert!(
        error.to_string().contains("no broker address is given"),
        "{error}"
    );
    assert_eq!(DIALED.load(Ordering::Relaxed), 0);
}
