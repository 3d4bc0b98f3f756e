//! Groups, offsets and lag from a shell.

use std::process::Stdio;

use crate::world::{World, run, unique, until, words};

#[test]
fn a_group_reads_on_where_it_was_and_its_lag_is_told() {
    let world = World::new();
    let (topic, group) = (world.topic(1), unique("group"));
    world.piped(&["produce", &topic], b"a\nb\nc\nd\n");
    let read = format!("consume {topic} --group {group} --from-beginning --count 2");
    let read = words(&read);
    assert_eq!(world.out(&read), "a\nb\n");
    let lag = world.out(&["lag", &group, "-o", "json"]);
    let lag: serde_json::Value = serde_json::from_str(&lag).unwrap();
    assert_eq!(
        (&lag[0]["committed"], &lag[0]["lag"]),
        (&2.into(), &2.into())
    );
    assert!(lag[0]["seconds"].as_f64().is_some());
    let (code, told) = world.fails(&["lag", &group, "--max", "1"]);
    assert_eq!(code, 1, "{told}");
    assert_eq!(world.out(&read), "c\nd\n");
    let summary = world.out(&["lag", &group, "--summary"]);
    assert_eq!(summary, format!("{group}\tEmpty\t1\t0\t0.0\t0\n"));
}

#[test]
fn a_reset_is_shown_and_done_only_when_confirmed() {
    let world = World::new();
    let (topic, group) = (world.topic(1), unique("group"));
    world.piped(&["produce", &topic], b"a\nb\nc\nd\n");
    let read = format!("consume {topic} --group {group} --from-beginning --count 4");
    let read = words(&read);
    world.out(&read);
    let reset = format!("offsets reset {group} --topic {topic} --shift-by -3");
    let reset = words(&reset);
    let shown = format!("{group}\t{topic}\t0\t4\t1\t0\t4\n");
    let mut dry = reset.to_vec();
    dry.push("--dry-run");
    assert_eq!(world.out(&dry), shown);
    let (code, told) = world.fails(&reset);
    assert_eq!(code, 5, "{told}");
    assert_eq!(
        world.out(&["offsets", "show", &group]).split('\t').nth(3),
        Some("4")
    );
    let mut sure = reset.to_vec();
    sure.push("--yes");
    assert_eq!(world.out(&sure), shown);
    let again = ["consume", &topic, "--group", &group, "--count", "3"];
    assert_eq!(world.out(&again), "b\nc\nd\n");
    world.out(&["groups", "delete", &group, "--yes"]);
    assert!(!world.out(&["groups", "list"]).contains(&group));
}

#[test]
fn keeping_a_group_where_it_is_warns_of_partitions_where_it_is_nowhere() {
    let world = World::new();
    let (topic, empty, group) = (world.topic(2), world.topic(1), unique("group"));
    for partition in ["0", "1"] {
        world.piped(&["produce", &topic, "--partition", partition], b"a\nb\n");
    }
    world.commit(&group, &topic, 1);
    let reset =
        format!("offsets reset {group} --topic {topic} --topic {empty} --to-current --dry-run");
    let reset = words(&reset);
    let output = run(world.milena(&reset), b"");
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{warned}");
    // Partition 0 has a commit, and nothing is skipped in an empty partition.
    let wanted = format!(
        "nothing is committed in {topic}-1, which goes to the end: its records are skipped"
    );
    assert_eq!(warned.trim_start_matches("milena: ").trim_end(), wanted);
    let planned = String::from_utf8(output.stdout).unwrap();
    assert!(
        planned.contains(&format!("{topic}\t0\t1\t1\t")),
        "{planned}"
    );
    let partition = format!("{topic}:0");
    let quiet = format!("offsets reset {group} --topic {partition} --to-current --dry-run");
    let quiet = words(&quiet);
    let output = run(world.milena(&quiet), b"");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_group_with_members_is_neither_reset_nor_deleted_and_they_are_named() {
    let world = World::new();
    let (topic, group) = (world.topic(1), unique("group"));
    let mut member = world
        .milena(&["consume", &topic, "--group", &group, "--client-id", "busy"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until(|| {
        world
            .out(&["groups", "list", "--state", "Stable"])
            .contains(&group)
    });
    let described = world.out(&["groups", "describe", &group]);
    assert!(
        described.contains("busy") && described.contains(&format!("{topic}-0")),
        "{described}"
    );
    for args in [
        &["groups", "delete", &group, "--yes"][..],
        &words(&format!(
            "offsets reset {group} --topic {topic} --to-earliest --yes"
        )),
    ] {
        let (code, told) = world.fails(args);
        assert_eq!(code, 5, "{told}");
        assert!(
            told.contains("active members") && told.contains("client busy"),
            "{told}"
        );
    }
    let id = member.id().to_string();
    std::process::Command::new("kill")
        .args(["-INT", &id])
        .status()
        .unwrap();
    assert!(
        member.wait().unwrap().success(),
        "interrupted is how it ends"
    );
    until(|| {
        world
            .out(&["groups", "list", "--state", "Empty"])
            .contains(&group)
    });
}
