//! Exit codes, as the table in the command's documentation lists them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use milena::broker::{ApiKey, ErrorCode, Fault};

use crate::world::{World, milena, run, unique, words};

#[test]
fn every_code_of_the_table_is_the_one_that_is_given() {
    let world = World::embedded();
    let (topic, group) = (world.topic(1), unique("group"));
    world.piped(&["produce", &topic], b"a\nb\n");
    world.out(&words(&format!(
        "consume {topic} -g {group} --from-beginning --count 1"
    )));
    let dead = world.topic(1);
    let code = |args: &[&str]| world.fails(args).0;
    let reset = format!("offsets reset {group} --topic {topic} --to-datetime=-2");
    let reset = words(&reset);
    let alter = words("configs alter broker --all --set log.retention.ms=1");
    let expected: &[(i32, &[&str])] = &[
        (0, &["topics", "list"]),
        (0, &["lag", &group, "--max", "1"]),
        (1, &["topics", "create", &topic]),
        (1, &["lag", &group, "--max", "0"]),
        (2, &["topics", "list", "--no-such-option"]),
        (2, &["topics", "create", "no spaces"]),
        (2, &["consume", &topic, "-f", "%q"]),
        (2, &reset),
        (
            3,
            &["topics", "list", "-b", "127.0.0.1:1", "--timeout", "500ms"],
        ),
        (4, &["topics", "describe", "nosuch"]),
        (4, &["groups", "describe", "nosuch"]),
        (4, &["offsets", "delete", "nosuch", &topic, "--yes"]),
        (4, &["dlq", "show", &dead, "0", "0"]),
        (4, &["dlq", "list", "nosuch"]),
        (5, &["topics", "delete", &topic]),
        (5, &alter),
        (7, &["produce", &topic, "--file", "/nosuch/file"]),
        (7, &["config", "check", "/nosuch/file.yaml"]),
    ];
    for (wanted, args) in expected {
        assert_eq!(code(args), *wanted, "{args:?}: {}", world.fails(args).1);
    }
    let old = Fault::error(ErrorCode::UNSUPPORTED_VERSION).on(ApiKey::ElectLeaders);
    world.broker().unwrap().faults().add(old);
    assert_eq!(code(&["elect", &topic]), 6);
    let refused = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    let refused = refused.on(ApiKey::ListOffsets).always();
    world.broker().unwrap().faults().add(refused);
    assert_eq!(code(&["lag", &group, "--max", "9"]), 8);
}

#[test]
fn a_port_that_is_no_kafka_is_a_cluster_that_is_not_reached() {
    // The answers of an HTTP, a TLS and an SSH server to unknown bytes, and an impossible length.
    for greeting in [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..],
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x7f\xff\xff\xff\x00\x00\x00\x00",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 64]);
                let _ = stream.write_all(greeting);
            }
        });
        let args = ["topics", "list", "-b", &address, "--timeout", "2s"];
        let output = run(milena(&args), b"");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{greeting:?}: {told}");
    }
}

#[test]
fn a_group_that_is_not_there_is_named_once_and_no_partition() {
    let world = World::new();
    let topic = world.topic(3);
    world.piped(&["produce", &topic], b"a\n");
    let (code, told) = world.fails(&["offsets", "delete", "nosuch", &topic, "--yes"]);
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("there is no group 'nosuch'"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    let (code, told) = world.fails(&["groups", "describe", ""]);
    assert!(code == 2 || code == 4, "{told}");
    assert!(told.contains("group") && told.contains("name"), "{told}");
    assert!(!told.contains("did you mean"), "{told}");
}

#[test]
fn control_characters_reach_a_terminal_only_as_escapes() {
    let world = World::new();
    let odd = "g\u{1b}[31m\n\u{202e}x";
    let (code, told) = world.fails(&["groups", "describe", odd]);
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("g\\u{1b}[31m\\n\\u{202e}x"), "{told}");
    assert!(
        !told.contains('\u{1b}') && told.lines().count() == 1,
        "{told}"
    );
    let topic = world.topic(1);
    world.piped(&["produce", &topic], b"a\n");
    let read = format!("consume {topic} --from-beginning --count 1 -g");
    world.out(&[&words(&read)[..], &[odd]].concat());
    for form in ["plain", "table"] {
        let listed = world.out(&["groups", "list", "-o", form]);
        assert!(listed.contains("g\\u{1b}[31m\\n\\u{202e}x"), "{listed}");
    }
    let listed = world.out(&["groups", "list", "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let named = |group: &serde_json::Value| group["group"] == odd;
    assert!(listed.as_array().unwrap().iter().any(named), "{listed}");
}

#[test]
fn what_was_done_is_told_as_json_too() {
    let world = World::new();
    let (topic, group) = (world.topic(1), unique("group"));
    let json = |args: &[&str]| -> serde_json::Value {
        let told = world.out(&[args, &["-o", "json", "--yes"]].concat());
        serde_json::from_str(&told).unwrap()
    };
    let sent = json(&["produce", &topic, "--value", "a", "--value", "b"]);
    assert_eq!(sent[0]["records"], 2);
    // A broker may forget a group with its last offset, so the test deletes another group.
    let kept = unique("group");
    for group in [&group, &kept] {
        let member = ["consume", &topic, "-g", group];
        world.out(&[&member[..], &["--from-beginning", "--count", "2"]].concat());
    }
    let altered = json(&["topics", "alter", &topic, "--set", "retention.ms=1000"]);
    assert_eq!(altered[0]["configs"][0], "retention.ms");
    let altered = json(&words(&format!(
        "configs alter topic {topic} --unset retention.ms"
    )));
    assert_eq!(altered[0]["state"], "altered");
    let deleted = json(&["offsets", "delete", &group, &topic]);
    assert_eq!(deleted[0]["state"], "deleted");
    let deleted = json(&["groups", "delete", &kept]);
    assert_eq!(deleted[0]["group"], kept);
    let deleted = json(&["topics", "delete", &topic]);
    assert_eq!(deleted[0]["topic"], topic);
}

#[test]
fn the_defaults_of_all_brokers_are_changed_only_where_all_was_said() {
    let world = World::new();
    let alter = words("configs alter broker --set log.retention.ms=123456789");
    let (code, told) = world.fails(&alter);
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("--all"), "{told}");
    let (code, told) = world.fails(&[&alter[..], &["--all"]].concat());
    assert_eq!(code, 5, "{told}");
    let named = ["configs", "alter", "broker", "1", "--all", "--set", "a=b"];
    assert_eq!(world.fails(&named).0, 2);
}

#[test]
fn a_time_means_the_same_wherever_it_is_given() {
    let world = World::new();
    let (topic, group) = (world.topic(1), unique("group"));
    let lines = b"1771313399999 a\n1771313400000 b\n1771320600000 c\n";
    world.piped(&["produce", &topic, "-f", "%T %v\\n"], lines);
    let ask = |zone: &str, time: &str| {
        let datetime = format!("--to-datetime={time}");
        let reset = format!("offsets reset {group} --topic {topic} --dry-run");
        let reset = [&words(&reset)[..], &[&datetime]].concat();
        let (offset, since) = (format!("--offset=@{time}"), format!("--since={time}"));
        let asked: [&[&str]; 3] = [
            &reset,
            &["consume", &topic, &offset, "--until", "end", "-f", "%v"],
            &["dlq", "list", &topic, &since],
        ];
        asked.map(|args| {
            let mut command = world.milena(args);
            command.env("TZ", zone).stdin(Stdio::null());
            let output = run(command, b"");
            (
                output.status.code(),
                String::from_utf8(output.stdout).unwrap(),
            )
        })
    };
    for zone in ["UTC", "Asia/Kolkata"] {
        for time in [
            "2026-02-17T09:30:00+02:00",
            "2026-02-17 07:30",
            "1771313400000",
        ] {
            let [reset, consume, dlq] = ask(zone, time);
            assert!(reset.1.ends_with("\t1\t0\t3\n"), "{time}: {reset:?}");
            assert_eq!(consume, (Some(0), "bc".to_owned()), "{time}");
            assert_eq!(dlq.1.lines().count(), 2, "{time}: {dlq:?}");
        }
        for wrong in [
            "2026-02-30",
            "-1",
            "-2",
            "-3",
            "2026-02-17T24:00:00Z",
            "yesterday",
        ] {
            let codes = ask(zone, wrong).map(|(code, _)| code);
            assert_eq!(codes, [Some(2); 3], "{wrong}");
        }
    }
    let seconds = format!("offsets reset {group} --topic {topic} --dry-run --to-datetime");
    let seconds = words(&seconds);
    let (code, told) = world.fails(&[&seconds[..], &["1771320600"]].concat());
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains("1970-01-21") && told.contains("2026-02-17"),
        "{told}"
    );
}

#[test]
fn a_health_page_is_asked_with_its_token() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut some = [0; 256];
            let len = stream.read(&mut some).unwrap();
            asked.extend_from_slice(&some[..len]);
        }
        let answer = b"HTTP/1.0 200 OK\r\n\r\n{\"ok\":true}";
        stream.write_all(answer).unwrap();
        String::from_utf8(asked).unwrap()
    });
    let output = run(milena(&["health", "--url", &url, "--token", "sesame"]), b"");
    assert!(output.status.success());
    let asked = asked.join().unwrap();
    assert!(
        asked.contains("Authorization: Bearer sesame\r\n"),
        "{asked}"
    );
}

#[test]
fn a_topic_that_cannot_be_described_is_told_and_no_health() {
    let world = World::embedded();
    let topic = world.topic(1);
    let refused = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    let refused = refused.on(ApiKey::Metadata).topic(topic.as_str());
    world.broker().unwrap().faults().add(refused.always());
    let listed = world.out(&["topics", "list"]);
    let row = listed.lines().find(|line| line.starts_with(&topic));
    assert!(
        row.unwrap().contains("TOPIC_AUTHORIZATION_FAILED"),
        "{listed}"
    );
    let output = run(world.milena(&["health"]), b"");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("1 cannot be described"), "{shown}");
}
