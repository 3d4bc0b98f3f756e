//! Kafka's own console tools and the command read what the other wrote, byte for byte. Only on real Kafka.

use std::process::Command;

use crate::world::{World, run, unique};

/// Runs one of Kafka's tools, by the wrapper that scripts/test-real-kafka names.
fn tool(world: &World, name: &str, args: &[&str], input: &[u8]) -> String {
    let wrapper = std::env::var("MILENA_TEST_KAFKA_TOOL").expect("scripts/test-real-kafka sets it");
    let mut command = Command::new(wrapper);
    command
        .args([name, "--bootstrap-server", &world.bootstrap])
        .args(args);
    let output = run(command, input);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name} {args:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs Kafka's own tools; scripts/test-real-kafka runs it"]
fn the_console_tools_read_what_was_written_and_write_what_is_read() {
    let world = World::new();
    let lines: String = (0..2000).map(|n| format!("line {n}\n")).collect();
    let topic = world.topic(1);
    world.piped(&["produce", &topic], lines.as_bytes());
    let read = tool(
        &world,
        "console-consumer",
        &[
            "--topic",
            &topic,
            "--from-beginning",
            "--max-messages",
            "2000",
        ],
        b"",
    );
    assert!(read == lines, "{} bytes", read.len());
    let topic = world.topic(1);
    tool(
        &world,
        "console-producer",
        &["--topic", &topic],
        lines.as_bytes(),
    );
    let read = world.out(&["consume", &topic, "--from-beginning", "--until", "end"]);
    assert!(read == lines, "{} bytes", read.len());
}

#[test]
#[ignore = "needs Kafka's own tools; scripts/test-real-kafka runs it"]
fn the_group_tool_tells_the_same_lag() {
    let world = World::new();
    let (topic, group) = (world.topic(2), unique("group"));
    world.piped(
        &["produce", &topic, "-K", "="],
        b"a=1\nb=2\nc=3\nd=4\ne=5\n",
    );
    world.out(&[
        "consume",
        &topic,
        "--group",
        &group,
        "--from-beginning",
        "--count",
        "3",
    ]);
    let ours = world.out(&["lag", &group]);
    let mut ours: Vec<Vec<String>> = ours
        .lines()
        .map(|line| {
            line.split('\t')
                .skip(1)
                .take(5)
                .map(str::to_owned)
                .collect()
        })
        .collect();
    let theirs = tool(
        &world,
        "consumer-groups",
        &["--describe", "--group", &group],
        b"",
    );
    let mut theirs: Vec<Vec<String>> = theirs
        .lines()
        .map(|line| {
            line.split_whitespace()
                .skip(1)
                .take(5)
                .map(str::to_owned)
                .collect()
        })
        .filter(|line: &Vec<String>| line.first() == Some(&topic))
        .collect();
    ours.sort();
    theirs.sort();
    let known = |rows: Vec<Vec<String>>| {
        // What has no offset is a dash there.
        let rows = rows.into_iter();
        rows.filter(|row| {
            row.get(2)
                .is_some_and(|offset| offset.parse::<i64>().is_ok())
        })
        .collect::<Vec<_>>()
    };
    let ours = known(ours);
    assert!(!ours.is_empty());
    assert_eq!(ours, known(theirs));
}

#[test]
#[ignore = "needs Kafka's own tools; scripts/test-real-kafka runs it"]
fn the_config_tool_shows_what_was_set() {
    let world = World::new();
    let topic = world.topic(1);
    world.out(&[
        "configs",
        "alter",
        "topic",
        &topic,
        "--set",
        "retention.ms=123456",
    ]);
    let told = tool(
        &world,
        "configs",
        &[
            "--describe",
            "--entity-type",
            "topics",
            "--entity-name",
            &topic,
        ],
        b"",
    );
    assert!(told.contains("retention.ms=123456"), "{told}");
    let described = tool(&world, "topics", &["--describe", "--topic", &topic], b"");
    assert!(described.contains("PartitionCount: 1"), "{described}");
}
