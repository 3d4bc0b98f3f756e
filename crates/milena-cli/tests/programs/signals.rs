//! Every command ends by a signal, in good order by the first and at once by the second.

use std::process::Stdio;

use milena::broker::{ApiKey, Fault};

use crate::world::{Running, World, unique, until, words};

#[test]
fn each_signal_ends_a_member_in_good_order() {
    let world = World::new();
    let topic = world.topic(1);
    world.piped(&["produce", &topic], b"a\n");
    for signal in ["INT", "TERM", "HUP"] {
        let group = unique("group");
        let mut reader = world.start(&["consume", &topic, "-g", &group, "--from-beginning"]);
        assert_eq!(reader.line(), "a\n");
        reader.signal(signal);
        let (code, _, told) = reader.end();
        assert_eq!((code, told.as_str()), (Some(0), ""), "{signal}");
        assert!(world.is_left(&group), "{signal}");
        assert_eq!(world.committed(&group), [(0, 1)], "{signal}");
    }
}

#[test]
fn one_that_was_to_end_by_itself_says_that_it_was_interrupted() {
    let world = World::new();
    let topic = world.topic(1);
    world.piped(&["produce", &topic], b"a\n");
    let args = ["consume", &topic, "--from-beginning", "--count", "2"];
    let mut reader = world.start(&args);
    assert_eq!(reader.line(), "a\n");
    reader.signal("INT");
    let (code, _, told) = reader.end();
    assert_eq!(code, Some(130), "{told}");
}

#[test]
fn producing_ends_by_a_signal_though_no_broker_takes_anything() {
    let world = World::embedded();
    let topic = world.topic(1);
    let broker = world.broker().unwrap();
    let silence = Fault::silence().on(ApiKey::Produce).always();
    let silence = broker.faults().add(silence);
    let args = ["produce", &topic, "--timeout", "2s"];
    let writer = Running::start(world.milena(&args), Stdio::piped());
    writer.write(b"a\nb\n");
    until(|| silence.fired() > 0);
    writer.signal("TERM");
    let (code, _, told) = writer.end();
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("possibly written"), "{told}");
}

#[test]
fn producing_gives_up_within_its_time_where_no_broker_takes_anything() {
    let world = World::embedded();
    let topic = world.topic(1);
    let broker = world.broker().unwrap();
    broker
        .faults()
        .add(Fault::silence().on(ApiKey::Produce).always());
    let (code, told) = world.fails(&["produce", &topic, "--value", "a", "--timeout", "1s"]);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("record 1"), "{told}");
}

#[test]
fn the_second_signal_ends_at_once() {
    let world = World::embedded();
    let (topic, group) = (world.topic(1), unique("group"));
    world.piped(&["produce", &topic], b"a\n");
    let broker = world.broker().unwrap();
    let silence = Fault::silence().on(ApiKey::OffsetCommit).always();
    let silence = broker.faults().add(silence);
    let mut reader = world.start(&["consume", &topic, "-g", &group, "--from-beginning"]);
    assert_eq!(reader.line(), "a\n");
    // From here on it waits for its commit.
    until(|| silence.fired() > 0);
    // Two signals of one kind would be one while the process has not seen the first of them.
    reader.signal("INT");
    reader.signal("TERM");
    let (code, _, told) = reader.end();
    assert_eq!((code, told.as_str()), (Some(130), ""));
}

#[test]
fn measuring_tells_what_it_has_measured() {
    let world = World::new();
    let topic = world.topic(1);
    let args = ["perf", "produce", &topic, "--rate", "1000", "-o", "json"];
    let writer = world.start(&args);
    until(|| {
        let read = format!("consume {topic} --from-beginning --until end -f x");
        let read = words(&read);
        !world.out(&read).is_empty()
    });
    writer.signal("INT");
    let (code, shown, told) = writer.end();
    assert_eq!(code, Some(130), "{told}");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert!(shown[0]["records"].as_u64().unwrap() > 0, "{shown}");
}
