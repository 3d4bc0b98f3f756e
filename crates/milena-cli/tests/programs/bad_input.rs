//! Wrong input is reported, with the right exit code.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use milena::broker::{ApiKey, ErrorCode, Fault};

use crate::world::{World, milena, run, unique, until};

#[test]
fn an_unknown_topic_is_named_with_the_one_that_was_meant() {
    let world = World::new();
    let topic = world.topic(1);
    let slip = topic.replacen("cli", "cil", 1);
    for args in [
        &["consume", &slip][..],
        &["produce", &slip, "--value", "x"],
        &["topics", "describe", &slip],
        &["partition", "key", "--topic", &slip],
    ] {
        let (code, told) = world.fails(args);
        assert_eq!(code, 4, "{args:?}: {told}");
        assert!(
            told.contains(&format!("there is no topic '{slip}'"))
                && told.contains(&format!("did you mean '{topic}'?")),
            "{args:?}: {told}"
        );
    }
}

#[test]
fn an_unknown_group_is_named_with_the_one_that_was_meant() {
    let world = World::new();
    let (topic, group) = (world.topic(1), unique("billing"));
    world.piped(&["produce", &topic], b"a\n");
    let read = ["consume", &topic, "--from-beginning", "--count", "1", "-g"];
    world.out(&[&read[..], &[&group]].concat());
    let slip = group.replacen("billing", "biling", 1);
    for args in [
        &["groups", "describe", &slip][..],
        &["groups", "delete", &slip, "--yes"],
        &["offsets", "show", &slip],
        &["offsets", "reset", &slip, "--all-topics", "--to-latest"],
        &["lag", &slip],
    ] {
        let (code, told) = world.fails(args);
        assert_eq!(code, 4, "{args:?}: {told}");
        let named = format!("there is no group '{slip}'");
        let meant = format!("did you mean '{group}'?");
        assert!(
            told.contains(&named) && told.contains(&meant),
            "{args:?}: {told}"
        );
    }
}

#[test]
fn a_group_with_members_is_not_moved_even_where_it_has_committed_nothing() {
    let world = World::new();
    let (topic, group) = (world.topic(1), unique("live"));
    world.piped(&["produce", &topic], b"a\n");
    let args = ["consume", &topic, "--from-beginning", "--group", &group];
    let mut command = world.milena(&args);
    let mut reader = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(reader.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    for scope in [&["--all-topics"][..], &["--topic", &topic]] {
        let args = ["offsets", "reset", &group, "--to-earliest", "--yes"];
        let (code, told) = world.fails(&[&args[..], scope].concat());
        assert_eq!(code, 5, "{scope:?}: {told}");
        assert!(told.contains("active members"), "{scope:?}: {told}");
    }
    let (code, told) = world.fails(&["groups", "delete", &group, "--yes"]);
    assert_eq!(code, 5, "{told}");
    assert!(told.contains("milena-cli"), "its members are named: {told}");
    reader.kill().unwrap();
    reader.wait().unwrap();
}

#[test]
fn an_offset_that_is_not_there_is_said_with_those_that_are() {
    let world = World::new();
    let topic = world.topic(2);
    world.piped(&["produce", &topic, "-p", "1"], b"a\nb\nc\n");
    let (code, told) = world.fails(&["consume", &topic, "--offset", "4", "--count", "1"]);
    assert_eq!(code, 2, "{told}");
    let range =
        format!("there is no offset 4: {topic}-0 goes from 0 to 0, {topic}-1 goes from 0 to 3");
    assert!(told.contains(&range), "{told}");
    // The partition that holds the offset is read from there, and the others from the nearest
    // offset.
    let read = world.out(&["consume", &topic, "--offset", "2", "--until", "end"]);
    assert_eq!(read, "c\n");
}

#[test]
fn a_verb_that_the_broker_is_too_old_for_is_said() {
    let world = World::new();
    let topic = world.topic(1);
    let Some(broker) = world.broker() else { return };
    let old = Fault::error(ErrorCode::UNSUPPORTED_VERSION);
    broker.faults().add(old.on(ApiKey::ElectLeaders));
    let (code, told) = world.fails(&["elect", &topic]);
    assert_eq!(code, 6, "{told}");
    assert!(
        told.contains("UNSUPPORTED_VERSION") && told.contains("ElectLeaders"),
        "{told}"
    );
    // Brokers before Kafka 4 answer like this to a request for a group's configs.
    let strange = Fault::error(ErrorCode::INVALID_REQUEST);
    broker.faults().add(strange.on(ApiKey::DescribeConfigs));
    let (code, told) = world.fails(&["configs", "show", "group", "billing"]);
    assert_eq!(code, 6, "{told}");
    assert!(
        told.contains("does not support configs of groups"),
        "{told}"
    );
}

#[test]
fn a_full_disk_is_said() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        return;
    };
    let world = World::new();
    let topic = world.topic(1);
    world.piped(&["produce", &topic], b"a\n");
    let mut command = world.milena(&["consume", &topic, "--from-beginning", "--count", "1"]);
    let child = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(7), "{told}");
    assert!(told.contains("the output cannot be written"), "{told}");
}

#[test]
fn a_reader_that_had_enough_ends_it_quietly() {
    let world = World::new();
    let topic = world.topic(1);
    let lines = "a line of some length, so that no pipe holds them all\n".repeat(20_000);
    world.piped(&["produce", &topic], lines.as_bytes());
    let mut command = world.milena(&["consume", &topic, "--from-beginning"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let status = child.wait().unwrap();
    let mut told = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert_eq!((status.code(), told.as_str()), (Some(0), ""));
}

#[test]
fn a_cluster_that_is_not_there_is_said_in_time() {
    let args = ["topics", "list", "-b", "127.0.0.1:1", "--timeout", "500ms"];
    let output = run(milena(&args), b"");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("127.0.0.1:1"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn a_port_in_use_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(milena(&["broker", "--port", &port]), b"");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("Address already in use"), "{told}");
}

#[test]
fn what_is_used_wrongly_is_said() {
    let world = World::new();
    let topic = world.topic(2);
    for (args, named) in [
        (&["consume", &topic, "-f", "%q"][..], "%q"),
        (&["consume", &topic, "-p", "9"], "no partition 9"),
        (
            &["consume", &topic, "-o", "yaml", "--from-beginning"],
            "YAML",
        ),
        (&["produce", &topic, "-f", "%k%v\\n"], "between"),
        (
            &["produce", &topic, "-p", "9", "--value", "x"],
            "no partition 9",
        ),
        (
            &["offsets", "reset", "g", "--topic", &topic],
            "--to-earliest",
        ),
        (
            &["topics", "create", "no spaces, please"],
            "no spaces, please",
        ),
        (&["topics", "alter", &topic], "nothing to change"),
        (&["topics", "list", "--timeout", "soon"], "soon"),
        (
            &["partition", "k", "-p", "3", "--scheme", "murmur3"],
            "murmur3",
        ),
        (&["health", "--url", "ftp://x"], "http://"),
    ] {
        let (code, told) = world.fails(args);
        assert_eq!(code, 2, "{args:?}: {told}");
        assert!(told.contains(named), "{args:?}: {told}");
    }
}

#[test]
fn input_that_is_not_as_the_format_says_is_named_by_its_record() {
    let world = World::new();
    let topic = world.topic(1);
    let output = run(
        world.milena(&["produce", &topic, "-K", "="]),
        b"a=1\nno separator\nb=2\n",
    );
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("record 2 of the input: '=' was expected"),
        "{told}"
    );
}

#[test]
fn an_unknown_group_is_named() {
    let world = World::new();
    let (code, told) = world.fails(&["groups", "describe", "nobody-is-called-so"]);
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("nobody-is-called-so"), "{told}");
}

#[test]
fn the_broker_serves_until_it_is_interrupted() {
    let mut command = milena(&[
        "broker", "--port", "0", "--topic", "orders:3", "--topic", "plain",
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut bootstrap = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut bootstrap).unwrap();
    let bootstrap = bootstrap.trim_end();
    until(|| {
        let listed = run(milena(&["-b", bootstrap, "topics", "list"]), b"");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        listed.contains("orders\t3\t") && listed.contains("plain\t1\t")
    });
    let id = child.id().to_string();
    std::process::Command::new("kill")
        .args(["-TERM", &id])
        .status()
        .unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_key_is_placed_by_every_scheme_without_a_cluster() {
    let output = run(milena(&["partition", "order-1", "-p", "6"]), b"");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("java\t4\n") && told.contains("consistent_random\t1\n"),
        "{told}"
    );
    let output = run(milena(&["completions", "bash"]), b"");
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("_milena")
    );
}
