//! Reading as a member of a group. Shown records, and only those, are committed, whatever ends the
//! command.

use std::process::Stdio;

use crate::world::{World, run, unique, until, words};

/// Writes lines dated 1000, 1500 and 2000 milliseconds after 1970.
fn dated(world: &World, topic: &str) {
    let lines = b"1000 a\n1500 b\n2000 c\n";
    world.piped(&["produce", topic, "-f", "%T %v\\n"], lines);
}

#[test]
fn what_lies_behind_the_end_is_left_for_the_next_member() {
    let world = World::new();
    let (topic, group) = (world.topic(1), unique("group"));
    dated(&world, &topic);
    let read = format!("consume {topic} -g {group} --from-beginning --until");
    let read = words(&read);
    let until_time = [&read[..], &["2000"]].concat();
    assert_eq!(world.out(&until_time), "a\nb\n");
    assert_eq!(world.committed(&group), [(0, 2)]);
    let to_the_end = [&read[..], &["end"]].concat();
    assert_eq!(world.out(&to_the_end), "c\n");
    assert_eq!(world.out(&to_the_end), "");
    assert_eq!(world.committed(&group), [(0, 3)]);
}

#[test]
fn a_limit_commits_as_many_as_it_shows() {
    let world = World::new();
    let (topic, group) = (world.topic(3), unique("group"));
    let lines: String = (0..300).map(|n| format!("k{n}={n}\n")).collect();
    world.piped(&["produce", &topic, "-K", "="], lines.as_bytes());
    let read = format!("consume {topic} -g {group} --from-beginning --count 10");
    let read = words(&read);
    let mut shown: Vec<String> = Vec::new();
    for round in 1..=2 {
        shown.extend(world.out(&read).lines().map(str::to_owned));
        let committed: i64 = world
            .committed(&group)
            .iter()
            .map(|(_, offset)| offset)
            .sum();
        assert_eq!(committed, 10 * round);
    }
    let rest = format!("consume {topic} -g {group} --from-beginning --until end");
    let rest = words(&rest);
    shown.extend(world.out(&rest).lines().map(str::to_owned));
    let mut numbers: Vec<u32> = shown.iter().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
}

#[test]
fn what_is_shown_is_committed_while_it_goes_on() {
    let world = World::new();
    let (topic, group) = (world.topic(1), unique("group"));
    world.piped(&["produce", &topic], b"a\nb\n");
    let mut reader = world.start(&["consume", &topic, "-g", &group, "--from-beginning"]);
    assert_eq!(reader.line(), "a\n");
    assert_eq!(reader.line(), "b\n");
    until(|| world.committed(&group) == [(0, 2)]);
    reader.signal("KILL");
    let (_, rest, _) = reader.end();
    assert_eq!(rest, "");
}

#[test]
fn a_member_that_begins_at_the_end_marks_where_that_was() {
    let world = World::new();
    let (topic, group) = (world.topic(2), unique("group"));
    world.piped(&["produce", &topic, "-p", "0"], b"old\n");
    let reader = world.start(&["consume", &topic, "-g", &group]);
    until(|| world.committed(&group) == [(0, 1), (1, 0)]);
    reader.signal("TERM");
    assert_eq!(reader.end().0, Some(0));
    // Records that come between two members are shown by the second.
    world.piped(&["produce", &topic, "-p", "1"], b"new\n");
    let read = ["consume", &topic, "-g", &group, "--until", "end"];
    assert_eq!(world.out(&read), "new\n");
}

#[test]
fn a_partition_that_goes_to_another_member_goes_on_behind_what_was_shown() {
    let world = World::new();
    let (topic, group) = (world.topic(2), unique("group"));
    for partition in ["0", "1"] {
        let lines: String = (0..100).map(|n| format!("{partition}-{n}\n")).collect();
        world.piped(&["produce", &topic, "-p", partition], lines.as_bytes());
    }
    let mut first = world.start(&["consume", &topic, "-g", &group, "--from-beginning"]);
    for _ in 0..200 {
        first.line();
    }
    let mut second = world.start(&["consume", &topic, "-g", &group, "--from-beginning"]);
    until(|| {
        let described = world.out(&["groups", "describe", &group]);
        let members: Vec<&str> = described.lines().skip(1).collect();
        members.len() == 2 && members.iter().all(|member| member.contains(&topic))
    });
    // One record for each member. The first record that the second member shows must be one of
    // these.
    world.piped(&["produce", &topic, "-p", "0"], b"last\n");
    world.piped(&["produce", &topic, "-p", "1"], b"last\n");
    assert_eq!(second.line(), "last\n");
    assert_eq!(first.line(), "last\n");
    for member in [first, second] {
        member.signal("INT");
        let (code, rest, told) = member.end();
        assert_eq!((code, rest.as_str()), (Some(0), ""), "{told}");
    }
    assert_eq!(world.committed(&group), [(0, 101), (1, 101)]);
}

#[test]
fn a_member_reads_its_own_to_the_end_and_leaves_to_others_what_they_hold() {
    let world = World::new();
    let (topic, group) = (world.topic(2), unique("group"));
    let mut other = world.start(&["consume", &topic, "-g", &group, "--from-beginning"]);
    // It owns all partitions, and no record was shown. Its commits show that it stands at their
    // ends.
    until(|| world.committed(&group).len() == 2);
    world.piped(&["produce", &topic, "-p", "0"], b"a\n");
    world.piped(&["produce", &topic, "-p", "1"], b"b\n");
    let read = ["consume", &topic, "-g", &group, "--until", "end"];
    let output = run(world.milena(&read), b"");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(told, "");
    let mut shown: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    while shown.len() < 2 {
        shown.push(other.line().trim_end().to_owned());
    }
    shown.sort_unstable();
    assert_eq!(shown, ["a", "b"]);
}

#[test]
fn a_member_whose_output_fails_commits_nothing_and_leaves_the_group() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        return;
    };
    let world = World::new();
    let (topic, group) = (world.topic(1), unique("group"));
    world.piped(&["produce", &topic], b"a\nb\n");
    let mut command = world.milena(&["consume", &topic, "-g", &group, "--from-beginning"]);
    let child = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(world.is_left(&group), "its partitions are free at once");
    let read = format!("consume {topic} -g {group} --from-beginning --until end");
    let read = words(&read);
    assert_eq!(world.out(&read), "a\nb\n");
}

#[test]
fn a_member_whose_reader_has_gone_ends_though_nothing_is_written() {
    let world = World::new();
    let (topic, group) = (world.topic(1), unique("group"));
    world.piped(&["produce", &topic], b"a\n");
    let mut reader = world.start(&["consume", &topic, "-g", &group, "--from-beginning"]);
    assert_eq!(reader.line(), "a\n");
    reader.unread();
    let (code, _, told) = reader.end();
    assert_eq!((code, told.as_str()), (Some(0), ""));
    assert!(world.is_left(&group));
    assert_eq!(world.committed(&group), [(0, 1)]);
}

#[test]
fn an_empty_topic_and_one_whose_records_are_gone_end_at_once() {
    let world = World::new();
    let (empty, trimmed) = (world.topic(3), world.topic(2));
    world.piped(&["produce", &trimmed], b"a\nb\n");
    world.out(&["topics", "trim", &trimmed, "--yes"]);
    for topic in [&empty, &trimmed] {
        let group = unique("group");
        let read = ["consume", topic, "--from-beginning", "--until", "end"];
        assert_eq!(world.out(&read), "");
        assert_eq!(world.out(&[&read[..], &["-g", &group]].concat()), "");
    }
}
