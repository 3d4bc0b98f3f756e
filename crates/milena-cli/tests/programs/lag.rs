//! The lag of groups, and the report to a monitoring script if it is not known.

use milena::broker::{ApiKey, ErrorCode, Fault};

use crate::world::{World, unique, until, words};

fn commit(world: &World, topic: &str, group: &str, count: &str) {
    let read = format!("consume {topic} -g {group} --from-beginning --count {count}");
    let read = words(&read);
    world.out(&read);
}

#[test]
fn a_lag_that_is_not_known_is_not_taken_for_a_small_one() {
    let world = World::new();
    let (topic, group) = (world.topic(1), unique("group"));
    world.piped(&["produce", &topic], b"a\nb\nc\n");
    commit(&world, &topic, &group, "2");
    let lag = |max: &str| world.fails(&["lag", &group, "--max", max]);
    assert_eq!(lag("1"), (0, String::new()));
    let (code, told) = lag("0");
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("1 records behind"), "{told}");

    // Another partition, with records and no commit.
    world.out(&["topics", "alter", &topic, "-p", "2"]);
    until(|| {
        let sent = world.fails(&["produce", &topic, "-p", "1", "--value", "d"]);
        sent.0 == 0
    });
    let (code, told) = lag("100");
    assert_eq!(code, 8, "{told}");
    assert!(told.contains("1 partitions is not known"), "{told}");
    let rows = world.out(&["lag", &group]);
    let row = rows.lines().nth(1).unwrap();
    assert!(row.ends_with("nothing committed"), "{rows}");
    assert_eq!(row.split('\t').nth(5), Some(""), "blank, not zero: {rows}");
    let summary = world.out(&["lag", &group, "--summary", "-o", "json"]);
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(
        (&summary[0]["lag"], &summary[0]["unknown"]),
        (&1.into(), &1.into())
    );
    assert!(summary[0]["seconds"].is_null(), "{summary}");
}

#[test]
fn what_is_committed_above_the_end_is_told() {
    let world = World::new();
    let (topic, group) = (world.topic(1), unique("group"));
    world.piped(&["produce", &topic], b"a\nb\n");
    world.commit(&group, &topic, 1000);
    let rows = world.out(&["lag", &group]);
    assert!(rows.contains("\t1000\t2\t\t\t"), "blank, not zero: {rows}");
    assert!(rows.ends_with("committed above the end\n"), "{rows}");
    let (code, told) = world.fails(&["lag", &group, "--max", "9"]);
    assert_eq!(code, 8, "{told}");
}

#[test]
fn a_group_that_was_drained_by_retention_is_not_behind() {
    let world = World::new();
    let (topic, group) = (world.topic(3), unique("group"));
    let lines: String = (0..30).map(|n| format!("k{n}={n}\n")).collect();
    world.piped(&["produce", &topic, "-K", "="], lines.as_bytes());
    commit(&world, &topic, &group, "3");
    world.out(&["topics", "trim", &topic, "--yes"]);
    assert_eq!(
        world.fails(&["lag", &group, "--max", "0"]),
        (0, String::new())
    );
    let summary = world.out(&["lag", &group, "--summary"]);
    assert_eq!(summary, format!("{group}\tEmpty\t3\t0\t0.0\t0\n"));
}

#[test]
fn a_broker_that_refuses_to_tell_is_named_and_the_watcher_fails() {
    let world = World::embedded();
    let (topic, group) = (world.topic(1), unique("group"));
    world.piped(&["produce", &topic], b"a\n");
    commit(&world, &topic, &group, "1");
    let refused = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    let refused = refused.on(ApiKey::ListOffsets).always();
    world.broker().unwrap().faults().add(refused);
    let (code, told) = world.fails(&["lag", &group]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("TOPIC_AUTHORIZATION_FAILED"), "{told}");
    assert_eq!(world.fails(&["lag", &group, "--max", "9"]).0, 8);
}

#[test]
fn a_watch_goes_on_over_a_refusal() {
    let world = World::embedded();
    let (topic, group) = (world.topic(1), unique("group"));
    world.piped(&["produce", &topic], b"a\n");
    commit(&world, &topic, &group, "1");
    let refused = Fault::error(ErrorCode::GROUP_AUTHORIZATION_FAILED);
    let refused = refused.on(ApiKey::OffsetFetch).times(2);
    let refused = world.broker().unwrap().faults().add(refused);
    let args = ["lag", &group, "--watch", "--interval", "100ms", "--summary"];
    let mut watch = world.start(&args);
    assert!(
        watch.line().starts_with(&group),
        "after the refusals it tells again"
    );
    assert!(refused.fired() > 0);
    watch.signal("INT");
    let (code, _, told) = watch.end();
    assert_eq!(code, Some(0));
    assert!(told.contains("GROUP_AUTHORIZATION_FAILED"), "{told}");
}

#[test]
fn one_broker_that_does_not_answer_hides_no_other() {
    let world = World::with_brokers(3);
    let topic = world.topic(1);
    world.piped(&["produce", &topic], b"a\n");
    let group = unique("group");
    commit(&world, &topic, &group, "1");
    let listed = world.out(&["groups", "list", "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let coordinator = listed[0]["coordinator"].as_i64().unwrap();
    let other = (1..=3).find(|node| *node != coordinator).unwrap();
    let silence = Fault::silence().on(ApiKey::ListGroups);
    let silence = silence.node(i32::try_from(other).unwrap()).always();
    world.broker().unwrap().faults().add(silence);
    for args in [
        &["groups", "list"][..],
        &["lag"],
        &["lag", "--summary"],
        &["groups", "describe"],
    ] {
        let args = [args, &["--timeout", "1s"]].concat();
        let output = crate::world::run(world.milena(&args), b"");
        let (shown, told) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        assert!(shown.contains(&group), "{args:?}: {shown} {told}");
        assert_eq!(output.status.code(), Some(3), "{args:?}: {told}");
        assert!(told.contains(&format!("node {other}")), "{args:?}: {told}");
        assert!(
            !told.contains("written"),
            "nothing was to be written: {told}"
        );
    }
}
