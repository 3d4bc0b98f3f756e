//! Transactions. Readers of committed records do not see open ones, and a marker is not a record.

use crate::world::{World, unique, words};

/// A batch of producer 8 with one record of an open transaction, `open`, and the marker that
/// commits it. Written by hand from Kafka's record batch format, version 2.
const OPEN: &str = "00000000000000000000003c00000000022357a4db0010000000000000019c6aef65c00000019c6aef65c00000000000000008000000000000000000011400000001086f70656e00";
const COMMIT: &str = "00000000000000000000004200000000025970a8bf0030000000000000019c6aef65c00000019c6aef65c000000000000000080000ffffffff000000012000000008000000010c00000000000000";

fn append(world: &World, topic: &str, hex: &str) {
    let digits = hex.as_bytes().chunks(2);
    let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16));
    let bytes: Vec<u8> = bytes.map(Result::unwrap).collect();
    let inspect = world.broker().unwrap().inspect();
    inspect.append(topic, 0, &bytes.into()).unwrap();
}

#[test]
fn the_end_is_where_committed_records_end() {
    let world = World::embedded();
    let (topic, group) = (world.topic(1), unique("group"));
    world.piped(&["produce", &topic], b"a\nb\n");
    append(&world, &topic, OPEN);
    let read = ["consume", &topic, "--from-beginning", "--until", "end"];
    let member = [&read[..], &["-g", &group]].concat();
    assert_eq!(world.out(&read), "a\nb\n");
    assert_eq!(world.out(&member), "a\nb\n");
    let last = ["consume", &topic, "--offset", "-1", "--until", "end"];
    assert_eq!(world.out(&last), "b\n");
    let uncommitted = [&read[..], &["--read-uncommitted"]].concat();
    assert_eq!(world.out(&uncommitted), "a\nb\nopen\n");

    append(&world, &topic, COMMIT);
    assert_eq!(world.out(&member), "open\n");
    assert_eq!(
        world.fails(&["lag", &group, "--max", "0"]),
        (0, String::new())
    );
    // Another client may commit the offset before the marker. There is no record between it and the
    // end.
    let reset = format!("offsets reset {group} --topic {topic} --to-offset 3 --yes");
    let reset = words(&reset);
    world.out(&reset);
    let summary = world.out(&["lag", &group, "--summary"]);
    assert_eq!(summary, format!("{group}\tEmpty\t1\t0\t0.0\t0\n"));
}
