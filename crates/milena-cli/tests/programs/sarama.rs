//! The flags, output and exit codes of sarama's console tools.

use std::io::Read;
use std::process::Stdio;

use crate::world::{World, milena, run, until, words};

#[test]
fn the_producer_prints_where_the_record_is() {
    let world = World::new();
    let topic = world.topic(3);
    let brokers = format!("-brokers={}", world.bootstrap);
    let args = format!("sarama-producer {brokers} -topic {topic} -partition 2 -value one");
    let args = words(&args);
    let output = run(milena(&args), b"");
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told, format!("topic={topic}\tpartition=2\toffset=0\n"));

    let mut command = milena(&words(&format!(
        "sarama-producer -topic {topic} -key k -headers a:b,c:d -silent"
    )));
    command.env("KAFKA_PEERS", &world.bootstrap);
    let output = run(command, b"from standard input\n");
    assert!(output.status.success() && output.stdout.is_empty());
    let read = [
        "consume",
        &topic,
        "--from-beginning",
        "--key",
        "k",
        "--count",
        "1",
        "-f",
        "%h %v",
    ];
    assert_eq!(world.out(&read), "a=b,c=d from standard input\n");
    // sarama's own hash decides, which is FNV-1a with its sign.
    let place = world.out(&words(&format!(
        "partition k --topic {topic} --scheme sarama-hash"
    )));
    let read = format!("consume {topic} --from-beginning --key k --count 1 -f %p");
    let read = words(&read);
    assert_eq!(
        place.trim_end().rsplit('\t').next().unwrap(),
        world.out(&read)
    );
}

#[test]
fn what_is_used_wrongly_ends_with_64_and_what_fails_with_69() {
    let world = World::new();
    let topic = world.topic(1);
    let brokers = world.bootstrap.as_str();
    for (args, code, words) in [
        (
            &["sarama-producer", "-topic", "x"][..],
            64,
            "no -brokers specified",
        ),
        (
            &["sarama-producer", "-brokers", brokers],
            64,
            "no -topic specified",
        ),
        (
            &words(&format!(
                "sarama-producer -brokers {brokers} -topic {topic} -partitioner manual -value x"
            )),
            64,
            "-partition is required",
        ),
        (
            &words(&format!(
                "sarama-producer -brokers {brokers} -topic {topic} -partitioner best -value x"
            )),
            64,
            "Partitioner best not supported",
        ),
        (
            &words(&format!(
                "sarama-producer -brokers {brokers} -topic {topic} -headers a -value x"
            )),
            64,
            "key:value",
        ),
        (
            &["sarama-producer", "-wrong"],
            2,
            "flag provided but not defined: -wrong",
        ),
        (
            &words(&format!(
                "sarama-producer -brokers {brokers} -topic no-such-topic -value x"
            )),
            69,
            "Failed to produce message",
        ),
        (
            &["sarama-consumer", "-brokers", brokers],
            64,
            "-topic is required",
        ),
        (
            &words(&format!(
                "sarama-consumer -brokers {brokers} -topic {topic} -offset middle"
            )),
            64,
            "-offset should be",
        ),
        (
            &words(&format!(
                "sarama-consumer -brokers {brokers} -topic no-such-topic"
            )),
            69,
            "list of partitions",
        ),
    ] {
        let output = run(milena(args), b"");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        assert!(told.contains(words), "{args:?}: {told}");
    }
}

#[test]
fn the_consumer_prints_each_record_until_it_is_interrupted() {
    let world = World::new();
    let topic = world.topic(1);
    world.piped(&["produce", &topic, "-K", "="], b"k=one\n=two\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    let brokers = world.bootstrap.as_str();
    let args = format!(
        "sarama-consumer -brokers {brokers} -topic {topic} -offset oldest -partitions 0 -buffer-size 1"
    );
    let args = words(&args);
    let mut child = milena(&args)
        .stdout(file.reopen().unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let wanted = "Partition:\t0\nOffset:\t0\nKey:\tk\nValue:\tone\n\nPartition:\t0\nOffset:\t1\nKey:\t\nValue:\ttwo\n\n";
    until(|| std::fs::read_to_string(file.path()).unwrap() == wanted);
    let id = child.id().to_string();
    std::process::Command::new("kill")
        .args(["-INT", &id])
        .status()
        .unwrap();
    assert!(child.wait().unwrap().success());
    let mut told = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert!(
        told.ends_with(&format!("Done consuming topic {topic}\n")),
        "{told}"
    );
}
