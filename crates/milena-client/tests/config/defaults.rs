//! The defaults of other clients. A properties file that only repeats them must load.

use std::time::Duration;

use milena_broker::Broker;
use milena_client::Client;
use milena_client::config::{Fate, explain_properties_text};

use crate::file;

const FILES: [(&str, &str); 4] = [
    (
        "java-consumer.properties",
        include_str!("defaults/java-consumer.properties"),
    ),
    (
        "java-producer.properties",
        include_str!("defaults/java-producer.properties"),
    ),
    (
        "librdkafka-consumer.properties",
        include_str!("defaults/librdkafka-consumer.properties"),
    ),
    (
        "librdkafka-producer.properties",
        include_str!("defaults/librdkafka-producer.properties"),
    ),
];

#[tokio::test(start_paused = true)]
async fn every_default_of_java_and_librdkafka_loads_and_builds() {
    for (name, text) in FILES {
        let broker = Broker::builder().start().await.unwrap();
        let builder = file(name, text).unwrap();
        let builder = builder
            .bootstrap(broker.bootstrap())
            .connector(broker.dialer());
        let client = builder.connect().await.unwrap();
        let _ = client.producer().build().unwrap();
        let _ = client
            .consumer("billing")
            .topics(["orders"])
            .build()
            .unwrap();
        let _ = client.assigned_consumer().build().unwrap();
        client.close().await;
    }
}

#[test]
fn no_default_is_refused_and_each_that_is_passed_over_has_its_reason() {
    for (name, text) in FILES {
        let told = explain_properties_text(text).unwrap();
        assert!(told.len() > 20, "{name}");
        for property in told {
            match property.fate {
                Fate::Refused(why) => panic!("{name}: {} is refused: {why}", property.name),
                Fate::Ignored(why) => assert!(!why.is_empty(), "{name}: {}", property.name),
                _ => {}
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_poll_interval_leaves_handlers_half_of_it_to_drain() {
    let broker = Broker::builder().start().await.unwrap();
    for interval in ["20000", "30000"] {
        let client = Client::from_properties([("max.poll.interval.ms", interval)])
            .unwrap()
            .bootstrap(broker.bootstrap())
            .connector(broker.dialer())
            .connect()
            .await
            .unwrap();
        let builder = client.consumer("billing").topics(["orders"]);
        let _ = builder.build().unwrap();
        // A setter of the program wins over the settings.
        let long = client.consumer("billing").topics(["orders"]);
        let error = long
            .drain_timeout(Duration::from_secs(30))
            .build()
            .unwrap_err();
        assert!(error.to_string().contains("drain timeout"), "{error}");
    }
}

#[test]
fn what_would_change_the_meaning_of_a_program_is_still_refused() {
    for line in [
        "security.protocol=SASL_SSL",
        "sasl.mechanism=PLAIN",
        "ssl.truststore.location=/etc/trust.jks",
        "transactional.id=billing-1",
        "interceptor.classes=org.example.Audit",
        "enable.auto.offset.store=false",
        "partitioner.ignore.keys=true",
        "partitioner.class=org.example.Mine",
        "config.providers=file",
        "enable.partition.eof=true",
        "plugin.library.paths=monitoring",
    ] {
        let name = line.split('=').next().unwrap();
        crate::refused(file("odd.properties", line), &["line 1", name]);
    }
}
