//! Records in and out, by formats, filters and ends.

use crate::world::{World, milena, run, words};

#[test]
fn the_forms_of_the_manual_work_as_they_stand_there() {
    let world = World::new();
    let topic = world.topic(3);
    let lines: String = (0..10).map(|n| format!("key-{n}=value {n}\n")).collect();
    let bootstrap = &world.bootstrap;
    let output = run(
        milena(&["--bootstrap", bootstrap, "produce", &topic, "-K", "="]),
        lines.as_bytes(),
    );
    assert!(output.status.success());
    let consume = [
        "--bootstrap",
        bootstrap,
        "consume",
        &topic,
        "--from-beginning",
        "--count",
        "10",
        "-f",
        "%k %v\\n",
    ];
    let output = run(milena(&consume), b"");
    let mut read: Vec<_> = std::str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .collect();
    read.sort_unstable();
    let wanted: Vec<String> = (0..10).map(|n| format!("key-{n} value {n}")).collect();
    assert_eq!(read, wanted);
}

#[test]
fn every_byte_and_every_null_comes_back_by_lengths() {
    let world = World::new();
    let topic = world.topic(1);
    let every: Vec<u8> = (0..=255).collect();
    let mut input = Vec::new();
    input.extend_from_slice(b"256 -1 ");
    input.extend_from_slice(&every);
    input.extend_from_slice(b"\n-1 256 ");
    input.extend_from_slice(&every);
    input.extend_from_slice(b"\n0 0 \n");
    let format = "%K %V %k%v\\n";
    let output = run(world.milena(&["produce", &topic, "-f", format]), &input);
    assert!(output.status.success());
    let args = format!("consume {topic} --from-beginning --until end -f");
    let args = [&words(&args)[..], &[format]].concat();
    let output = run(world.milena(&args), b"");
    assert_eq!(output.stdout, input);
}

#[test]
fn nulls_headers_times_and_partitions_are_read_and_written() {
    let world = World::new();
    let topic = world.topic(2);
    let format = "%p|%T|%h|%k|%v\\n";
    let input = "1|1700000000000|a=1,b|NULL|one\n1|1700000000001||k|NULL\n";
    world.piped(
        &["produce", &topic, "-f", format, "--null", "NULL"],
        input.as_bytes(),
    );
    let read = format!("consume {topic} --from-beginning --until end -p 1");
    let read = words(&read);
    let with = |more: &[&'static str]| {
        let mut args = read.to_vec();
        args.extend(more);
        world.out(&args)
    };
    assert_eq!(
        with(&["-f", format, "--null", "NULL"]),
        input.replace("a=1,b|", "a=1,b=NULL|")
    );
    assert_eq!(
        with(&["-f", "%t-%p@%o %D %H %h{a}\\n", "--count", "1"]),
        format!("{topic}-1@0 2023-11-14T22:13:20.000Z 2 1\n")
    );
    let line = with(&["-o", "json", "--count", "1"]);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&value["key"], &value["value"]),
        (&serde_json::Value::Null, &"one".into())
    );
    assert_eq!(value["headers"][0]["value"], "1");
    assert_eq!(value["headers"][1]["value"], serde_json::Value::Null);
}

#[test]
fn reading_begins_and_ends_where_it_is_told() {
    let world = World::new();
    let topic = world.topic(1);
    let lines: String = (0..10)
        .map(|n| format!("{}|{n}\n", 1_700_000_000_000_i64 + n * 1000))
        .collect();
    world.piped(&["produce", &topic, "-f", "%T|%v\\n"], lines.as_bytes());
    let read = |args: &[&str]| {
        let mut all = vec!["consume", &topic, "-f", "%v "];
        all.extend(args);
        world.out(&all)
    };
    assert_eq!(
        read(&["--from-beginning", "--until", "end"]),
        "0 1 2 3 4 5 6 7 8 9 "
    );
    assert_eq!(read(&["--offset", "7", "--until", "end"]), "7 8 9 ");
    assert_eq!(read(&["--offset", "-2", "--until", "end"]), "8 9 ");
    assert_eq!(
        read(&["--offset", "@1700000004500", "--count", "2"]),
        "5 6 "
    );
    assert_eq!(
        read(&["--from-beginning", "--until", "2023-11-14T22:13:23Z"]),
        "0 1 2 "
    );
    assert_eq!(read(&["--offset", "end", "--until", "end"]), "");
    let empty = world.topic(3);
    assert_eq!(
        world.out(&["consume", &empty, "--from-beginning", "--until", "end"]),
        ""
    );
}

#[test]
fn filters_let_through_what_matches() {
    let world = World::new();
    let topic = world.topic(1);
    let input = b"order-1;h=1;paid\norder-2;;open\nbasket-1;h=2;open\n";
    world.piped(&["produce", &topic, "-f", "%k;%h;%v\\n"], input);
    let read = |args: &[&str]| {
        let mut all = vec![
            "consume",
            &topic,
            "--from-beginning",
            "--until",
            "end",
            "-f",
            "%k ",
        ];
        all.extend(args);
        world.out(&all)
    };
    assert_eq!(read(&["--key", "order-*"]), "order-1 order-2 ");
    assert_eq!(read(&["--header", "h"]), "order-1 basket-1 ");
    assert_eq!(read(&["--header", "h=2"]), "basket-1 ");
    assert_eq!(read(&["--key", "order-*", "--value", "op*"]), "order-2 ");
}

#[test]
fn fixed_keys_headers_and_values_are_sent_with_every_codec() {
    let world = World::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = world.topic(1);
        world.out(&[
            "produce", &topic, "--key", "k", "-H", "a=1", "-H", "b", "--value", "x", "--value",
            "y", "-z", codec,
        ]);
        let args = [
            "consume",
            &topic,
            "--from-beginning",
            "--count",
            "2",
            "-f",
            "%k %h %v;",
        ];
        assert_eq!(world.out(&args), "k a=1,b x;k a=1,b y;", "{codec}");
    }
}

#[test]
fn many_lines_go_in_and_come_out_in_order_and_nothing_is_lost() {
    let world = World::new();
    let topic = world.topic(1);
    let count = if cfg!(debug_assertions) {
        200_000
    } else {
        1_000_000
    };
    let lines: String = (0..count).map(|n| format!("line {n}\n")).collect();
    world.piped(&["produce", &topic], lines.as_bytes());
    let read = world.out(&["consume", &topic, "--from-beginning", "--until", "end"]);
    assert!(
        read == lines,
        "{} bytes of {} came back",
        read.len(),
        lines.len()
    );
}

#[test]
fn throughput_is_told() {
    let world = World::new();
    let topic = world.topic(2);
    let sent = world.out(&[
        "perf", "produce", &topic, "--count", "5000", "--size", "64", "-o", "json",
    ]);
    let sent: serde_json::Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(sent[0]["records"], 5000);
    assert!(sent[0]["p99_ms"].as_f64().unwrap() >= sent[0]["p50_ms"].as_f64().unwrap());
    let read = world.out(&["perf", "consume", &topic, "--count", "5000", "-o", "json"]);
    let read: serde_json::Value = serde_json::from_str(&read).unwrap();
    assert_eq!(read[0]["records"], 5000);
}
