//! Kafka's own console tools and the command read each other's records, byte for byte. Only on real
//! Kafka.

use std::process::Command;

use crate::world::{World, run, unique, words};

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
        &words(&format!(
            "--topic {topic} --from-beginning --max-messages 2000"
        )),
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
    world.out(&words(&format!(
        "consume {topic} --group {group} --from-beginning --count 3"
    )));
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
        // Kafka's tool writes a dash for a partition without an offset.
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
fn keys_headers_and_nulls_are_the_same_to_the_console_tools() {
    let world = World::new();
    let records = "a:1,b:two\tk1\tv1\na:1,b:two\tNULL\tv2\na:1,b:two\tk3\tNULL\na:1,b:two\t\t\n";
    let shown = |topic: &str| {
        let args = ["--topic", topic, "--from-beginning", "--max-messages", "4"];
        let properties = ["print.headers=true", "print.key=true", "null.literal=NULL"];
        with_properties(
            &world,
            "console-consumer",
            "formatter",
            &args,
            &properties,
            b"",
        )
    };
    let ours = world.topic(1);
    let fixed = ["-H", "a=1", "-H", "b=two", "--null", "NULL", "-K", "\\t"];
    let lines = "k1\tv1\nNULL\tv2\nk3\tNULL\n\t\n";
    world.piped(
        &[&["produce", &ours][..], &fixed].concat(),
        lines.as_bytes(),
    );
    assert_eq!(shown(&ours), records);

    let theirs = world.topic(1);
    let properties = ["parse.headers=true", "parse.key=true", "null.marker=NULL"];
    let args = ["--topic", &theirs];
    let input = records.as_bytes();
    with_properties(
        &world,
        "console-producer",
        "reader",
        &args,
        &properties,
        input,
    );
    let format = ["-f", "%h{a} %h{b} %k %v %K %V\\n"];
    let read = |topic: &str| {
        let args = ["consume", topic, "--from-beginning", "--until", "end"];
        world.out(&[&args[..], &format].concat())
    };
    assert_eq!(
        read(&theirs),
        "1 two k1 v1 2 2\n1 two  v2 -1 2\n1 two k3  2 -1\n1 two   0 0\n"
    );
    assert_eq!(read(&theirs), read(&ours));
}

/// Passes properties, whose option has another name since Kafka 4.
fn with_properties(
    world: &World,
    name: &str,
    part: &str,
    args: &[&str],
    properties: &[&str],
    input: &[u8],
) -> String {
    let brokers = tool(world, "console-producer", &["--version"], b"");
    let flag = match brokers.trim_start().starts_with('3') {
        true => "--property".to_owned(),
        false => format!("--{part}-property"),
    };
    let properties = properties
        .iter()
        .flat_map(|property| [flag.as_str(), property]);
    let args: Vec<&str> = args.iter().copied().chain(properties).collect();
    tool(world, name, &args, input)
}

#[test]
#[ignore = "needs Kafka's own tools; scripts/test-real-kafka runs it"]
fn the_topic_and_offset_tools_tell_the_same() {
    let world = World::new();
    let topic = world.topic(3);
    world.piped(&["produce", &topic, "-K", "="], b"a=1\nb=2\nc=3\nd=4\n");
    // Partition, leader, replicas, in sync.
    let told = tool(&world, "topics", &["--describe", "--topic", &topic], b"");
    let theirs = told.lines().filter_map(|line| {
        let after = |name: &str| {
            let (_, rest) = line.split_once(&format!("\t{name}: "))?;
            Some(
                rest.split('\t')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
            )
        };
        let columns = [
            after("Partition")?,
            after("Leader")?,
            after("Replicas")?,
            after("Isr")?,
        ];
        Some(columns.join(" "))
    });
    let theirs: Vec<String> = theirs.collect();
    let ours = world.out(&["topics", "describe", &topic]);
    let ours = ours.lines().map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        [columns[1], columns[2], columns[4], columns[5]].join(" ")
    });
    assert_eq!(theirs.len(), 3, "{told}");
    assert_eq!(ours.collect::<Vec<_>>(), theirs);
    // The end of each partition.
    let told = tool(&world, "get-offsets", &["--topic", &topic], b"");
    let ends = told.lines().map(|line| {
        let mut parts = line.rsplit(':');
        let (end, partition) = (parts.next().unwrap(), parts.next().unwrap());
        format!("{partition} {end}")
    });
    let group = unique("group");
    let args = format!("offsets reset {group} --topic {topic} --to-latest --dry-run");
    let args = words(&args);
    let ours = world.out(&args);
    let ours = ours.lines().map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        [columns[2], columns[4]].join(" ")
    });
    assert_eq!(ours.collect::<Vec<_>>(), ends.collect::<Vec<_>>());
    let listed = tool(&world, "topics", &["--list"], b"");
    assert!(listed.lines().any(|name| name == topic), "{listed}");
}

#[test]
#[ignore = "needs Kafka's own tools; scripts/test-real-kafka runs it"]
fn the_group_tool_plans_the_same_resets_and_tells_the_same_state() {
    let world = World::new();
    let (topic, group) = (world.topic(2), unique("group"));
    world.piped(
        &["produce", &topic, "-K", "="],
        b"a=1\nb=2\nc=3\nd=4\ne=5\n",
    );
    let args = format!("consume {topic} --from-beginning --count 5 --group {group}");
    let args = words(&args);
    world.out(&args);
    for scenario in [
        &["--to-earliest"][..],
        &["--to-latest"],
        &["--shift-by", "-1"],
        &["--to-offset", "1"],
        &["--to-current"],
    ] {
        let base = format!("--group {group} --reset-offsets --dry-run --topic {topic}");
        let base = words(&base);
        let told = tool(
            &world,
            "consumer-groups",
            &[&base[..], scenario].concat(),
            b"",
        );
        // Kafka 3 writes all of it on one line.
        let words: Vec<&str> = told.split_whitespace().collect();
        let rows = words.windows(4).filter(|words| words[0] == group);
        let theirs = rows.map(|words| words[1..].join(" "));
        let mut theirs: Vec<String> = theirs.collect();
        let base = ["offsets", "reset", &group, "--dry-run", "--topic", &topic];
        let told = world.out(&[&base[..], scenario].concat());
        let ours = told.lines().map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            [columns[1], columns[2], columns[4]].join(" ")
        });
        let mut ours: Vec<String> = ours.collect();
        ours.sort();
        theirs.sort();
        assert_eq!(ours.len(), 2, "{scenario:?}: {told}");
        assert_eq!(ours, theirs, "{scenario:?}");
    }
    let told = tool(
        &world,
        "consumer-groups",
        &["--describe", "--group", &group, "--state"],
        b"",
    );
    let ours = world.out(&["groups", "describe", &group]);
    let state = ours.split('\t').nth(1).unwrap();
    assert!(told.contains(state), "{state}: {told}");
    let listed = tool(&world, "consumer-groups", &["--list"], b"");
    assert!(listed.lines().any(|name| name == group), "{listed}");
    assert!(world.out(&["groups", "list"]).contains(&group));
}

#[test]
#[ignore = "needs Kafka's own tools; scripts/test-real-kafka runs it"]
fn the_config_tool_shows_what_was_set() {
    let world = World::new();
    let topic = world.topic(1);
    world.out(&words(&format!(
        "configs alter topic {topic} --set retention.ms=123456"
    )));
    let told = tool(
        &world,
        "configs",
        &words(&format!(
            "--describe --entity-type topics --entity-name {topic}"
        )),
        b"",
    );
    assert!(told.contains("retention.ms=123456"), "{told}");
    let described = tool(&world, "topics", &["--describe", "--topic", &topic], b"");
    assert!(described.contains("PartitionCount: 1"), "{described}");
}
