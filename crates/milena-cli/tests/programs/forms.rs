//! Records through text and JSON and back. Nothing is lost, and input that cannot be carried is
//! refused.

use crate::world::{World, run, words};

/// Returns records as `consume -o json` shows them, without their topic, partition and offset.
fn shown(world: &World, topic: &str) -> Vec<serde_json::Value> {
    let args = format!("consume {topic} --from-beginning --until end -o json");
    let args = words(&args);
    let lines = world.out(&args);
    let record = |line: &str| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        for place in ["topic", "partition", "offset"] {
            value.as_object_mut().unwrap().remove(place);
        }
        value
    };
    lines.lines().map(record).collect()
}

/// Makes a topic with texts, other bytes, nulls, and headers that are repeated, null, empty or hold
/// every special character of the text form.
fn mixed(world: &World) -> String {
    let topic = world.topic(1);
    let lines = b"6b31\t7631\nff00\t00ff80fe\nNULL\tNULL\n\t\n";
    let args = [
        "produce",
        &topic,
        "-f",
        "%k{hex}\\t%v{hex}\\n",
        "--null",
        "NULL",
    ];
    let headers = [
        "-H",
        "a=1",
        "-H",
        "a=x,y=z\\",
        "-H",
        "n",
        "-H",
        "e=",
        "-H",
        "t=1\t2\n3",
    ];
    world.piped(&[&args[..], &headers].concat(), lines);
    topic
}

#[test]
fn records_come_back_from_json_byte_for_byte() {
    let world = World::new();
    let (topic, copy) = (mixed(&world), world.topic(1));
    let args = format!("consume {topic} --from-beginning --until end -o json");
    let args = words(&args);
    let lines = world.out(&args);
    world.piped(&["produce", &copy, "--input", "json"], lines.as_bytes());
    assert_eq!(shown(&world, &topic).len(), 4);
    assert_eq!(shown(&world, &copy), shown(&world, &topic));
}

#[test]
fn records_come_back_from_each_encoding_with_their_headers() {
    let world = World::new();
    let topic = mixed(&world);
    for encoding in ["hex", "base64", "json"] {
        let copy = world.topic(1);
        let format = format!("%T %h\\t%k{{{encoding}}}\\t%v{{{encoding}}}\\n");
        let read = format!("consume {topic} --from-beginning --until end -f");
        let read = [&words(&read)[..], &[&format]].concat();
        let write = ["produce", &copy, "-f", &format];
        // A text for null that no encoding produces.
        let null = ["--null", "~null~"];
        let lines = world.out(&[&read[..], &null].concat());
        world.piped(&[&write[..], &null].concat(), lines.as_bytes());
        assert_eq!(shown(&world, &copy), shown(&world, &topic), "{encoding}");
    }
}

#[test]
fn a_header_filter_goes_by_the_last_of_that_name() {
    let world = World::new();
    let topic = world.topic(1);
    world.out(&["produce", &topic, "-H", "a=1", "-H", "a=2", "--value", "x"]);
    let read = format!("consume {topic} --from-beginning --until end --header");
    let read = words(&read);
    assert_eq!(world.out(&[&read[..], &["a=1"]].concat()), "");
    assert_eq!(world.out(&[&read[..], &["a=2"]].concat()), "x\n");
    let last = [
        "consume",
        &topic,
        "--from-beginning",
        "--until",
        "end",
        "-f",
        "%h{a}",
    ];
    assert_eq!(world.out(&last), "2");
}

#[test]
fn what_cannot_be_read_is_refused_before_anything_is_sent() {
    let world = World::new();
    let topic = world.topic(1);
    for (args, named) in [
        (&["-f", ""][..], "empty"),
        (&["-f", "%t\\n"], "neither"),
        (&["-f", "x"], "neither"),
        (&["-H", "=x", "--value", "a"], "name"),
        (&["-H", "", "--value", "a"], "name"),
        (&["--max-request-size", "0"], "0"),
    ] {
        let output = run(
            world.milena(&[&["produce", &topic], args].concat()),
            b"a\nb\n",
        );
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(told.contains(named), "{args:?}: {told}");
    }
    assert!(shown(&world, &topic).is_empty());
}

#[test]
fn a_line_that_does_not_end_is_given_up_at_the_size_of_a_record() {
    let world = World::new();
    let topic = world.topic(1);
    let endless = vec![b'x'; 3 << 20];
    let args = ["produce", &topic, "--max-request-size", "1000000"];
    let output = run(world.milena(&args), &endless);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("record 1 of the input does not end"),
        "{told}"
    );
}

#[test]
fn each_refused_record_is_told_by_its_number() {
    let world = World::new();
    let topic = world.topic(1);
    let compact = ["--set", "cleanup.policy=compact"];
    world.out(&[&["configs", "alter", "topic", &topic][..], &compact].concat());
    let args = ["produce", &topic, "-K", "\\t", "--null", ""];
    let output = run(world.milena(&args), b"a\tx\n\ty\nc\tz\n");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let refused = told_of(&told);
    assert!(refused.contains(&2), "{told}");
    // The other records of the same batch are either reported or written.
    let values = shown(&world, &topic);
    let is_there = |value: &str| values.iter().any(|record| record["value"] == value);
    assert!(!is_there("y"));
    for (number, value) in [(1, "x"), (3, "z")] {
        let (told_of, is_there) = (refused.contains(&number), is_there(value));
        assert!(told_of != is_there, "record {number}: {told}");
    }
}

/// Returns the numbers in `milena: record 2: ...` and `milena: records 1, 3-5: ...`.
fn told_of(complaints: &str) -> Vec<u64> {
    let lines = complaints.lines().filter_map(|line| {
        let line = line.strip_prefix("milena: record")?;
        let (numbers, _) = line.trim_start_matches('s').split_once(':')?;
        Some(numbers.trim().to_owned())
    });
    let mut numbers = Vec::new();
    for run in lines.flat_map(|line| line.split(", ").map(str::to_owned).collect::<Vec<_>>()) {
        let (first, last) = run.split_once('-').unwrap_or((&run, &run));
        numbers.extend(first.parse::<u64>().unwrap()..=last.parse().unwrap());
    }
    numbers
}
