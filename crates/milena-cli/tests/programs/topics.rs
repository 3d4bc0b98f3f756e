//! Topics, configs and the cluster from a shell.

use crate::world::{World, run, unique, until, words};

#[test]
fn a_topic_is_created_listed_described_altered_and_deleted() {
    let world = World::new();
    let name = unique("cli");
    let create = format!("topics create {name} --partitions 3 -r 1 --config retention.ms=1000");
    let create = words(&create);
    let made = world.out(&create);
    assert!(made.starts_with(&format!("{name}\t3\t1\t")), "{made}");
    let (code, told) = world.fails(&create);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("TOPIC_ALREADY_EXISTS"), "{told}");
    world.out(&["topics", "create", &name, "--if-not-exists"]);

    until(|| {
        world
            .out(&["topics", "list"])
            .contains(&format!("{name}\t3\t"))
    });
    world.out(&words(&format!(
        "topics alter {name} --partitions 5 --unset retention.ms"
    )));
    until(|| {
        let described = world.out(&["topics", "describe", &name, "-o", "plain"]);
        described
            .lines()
            .filter(|line| line.starts_with(&name))
            .count()
            == 5
    });
    let json = world.out(&["topics", "describe", &name, "-o", "json"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["partitions"].as_array().unwrap().len(), 5);

    let (code, told) = world.fails(&["topics", "delete", &name]);
    assert_eq!(code, 5, "without a terminal nobody can confirm: {told}");
    assert!(told.contains("--yes"), "{told}");
    world.out(&["topics", "delete", &name, "--yes"]);
    until(|| !world.out(&["topics", "list"]).contains(&name));
}

#[test]
fn one_missing_topic_does_not_hide_the_others() {
    let world = World::new();
    let name = world.topic(1);
    let output = run(
        world.milena(&["topics", "describe", "no-such-topic", &name]),
        b"",
    );
    assert_eq!(output.status.code(), Some(4));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.starts_with(&name), "{told}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("no-such-topic") && !told.contains(&name),
        "{told}"
    );
}

#[test]
fn records_are_trimmed_and_offsets_begin_behind_them() {
    let world = World::new();
    let name = world.topic(1);
    world.piped(&["produce", &name], b"a\nb\nc\n");
    let first = world.out(&["topics", "trim", &name, "--before", "2", "--yes"]);
    assert_eq!(first, format!("{name}\t0\t2\n"));
    let read = world.out(&[
        "consume",
        &name,
        "--from-beginning",
        "--until",
        "end",
        "-f",
        "%o %v\\n",
    ]);
    assert_eq!(read, "2 c\n");
}

#[test]
fn configs_and_the_cluster_are_shown_in_every_form() {
    let world = World::new();
    let name = world.topic(1);
    world.out(&words(&format!(
        "configs alter topic {name} --set cleanup.policy=compact"
    )));
    until(|| {
        world
            .out(&["configs", "show", "topic", &name])
            .contains("cleanup.policy\tcompact\ttopic\t")
    });
    let table = world.out(&["configs", "show", "topic", &name, "-o", "table"]);
    assert!(table.starts_with("CONFIG"), "{table}");
    let yaml = world.out(&["cluster", "-o", "yaml"]);
    assert!(yaml.contains("brokers:\n  - address: "), "{yaml}");
    let json: serde_json::Value =
        serde_json::from_str(&world.out(&["cluster", "-o", "json"])).unwrap();
    assert!(!json["brokers"].as_array().unwrap().is_empty());
    let health = world.out(&["health"]);
    assert!(health.contains("\tok\t"), "{health}");
    let elected = world.out(&["elect", &name]);
    assert_eq!(elected, format!("{name}\t0\tnot needed\n"));
}

#[test]
fn topics_of_a_file_are_made_and_differences_are_told() {
    let world = World::new();
    let name = unique("cli");
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let want = |partitions: u32| {
        let text = format!("[topics.{name}]\npartitions = {partitions}\nreplication_factor = 1\n");
        std::fs::write(path, text).unwrap();
    };
    want(2);
    assert_eq!(world.fails(&["topics", "ensure", path, "--check"]).0, 1);
    assert_eq!(
        world.out(&["topics", "ensure", path]),
        format!("{name}\tcreated\n")
    );
    until(|| world.fails(&["topics", "ensure", path, "--check"]).0 == 0);
    want(3);
    let (code, told) = world.fails(&["topics", "ensure", path]);
    assert_eq!(code, 1, "{told}");
    let told = world.out(&["topics", "ensure", path, "--mend"]);
    assert_eq!(told, format!("{name}\tmended: partitions is 2, wanted 3\n"));
    std::fs::write(path, format!("[topics.{name}]\npartitions = \"many\"\n")).unwrap();
    let (code, told) = world.fails(&["topics", "ensure", path]);
    assert_eq!(code, 2, "{told}");
    assert!(
        told.contains(&name) && told.contains("partitions"),
        "{told}"
    );
}

#[test]
fn values_are_held_against_topics_as_brokers_read_them() {
    let world = World::new();
    let name = unique("cli");
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let configs = [
        "\"cleanup.policy\" = [\"compact\", \"delete\"]",
        "\"min.cleanable.dirty.ratio\" = 1",
        "\"segment.bytes\" = 1073741824",
        "\"preallocate\" = false",
        "\"retention.ms\" = 86400000.0",
    ];
    let text = format!(
        "[topics.{name}]\npartitions = 1\nreplication_factor = 1\n[topics.{name}.configs]\n"
    );
    std::fs::write(path, text.clone() + &configs[..4].join("\n")).unwrap();
    world.out(&["topics", "ensure", path]);
    until(|| world.fails(&["topics", "ensure", path, "--check"]).0 == 0);
    // The same values in other spellings, which brokers return in their own.
    let others = [
        "\"cleanup.policy\" = \"delete, compact\"",
        "\"min.cleanable.dirty.ratio\" = \"1.00\"",
        "\"segment.bytes\" = \" +1073741824 \"",
        "\"preallocate\" = \"FALSE\"",
    ];
    std::fs::write(path, text.clone() + &others.join("\n")).unwrap();
    let (code, told) = world.fails(&["topics", "ensure", path, "--check"]);
    assert_eq!(code, 0, "{told}");
    // A value that differs is mended once.
    std::fs::write(path, text.clone() + "\"retention.ms\" = 1000").unwrap();
    assert_eq!(world.fails(&["topics", "ensure", path, "--check"]).0, 1);
    assert!(
        world
            .out(&["topics", "ensure", path, "--mend"])
            .contains("mended")
    );
    until(|| world.fails(&["topics", "ensure", path, "--check"]).0 == 0);
    let again = world.out(&["topics", "ensure", path, "--mend"]);
    assert_eq!(again, format!("{name}\tas wanted\n"));
    std::fs::write(path, text + "nosuch = 1").unwrap();
    let (code, told) = world.fails(&["topics", "ensure", path, "--check"]);
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("nosuch") && told.contains(&name), "{told}");
}

#[test]
fn a_file_that_holds_no_topics_is_refused() {
    let world = World::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    for (text, named) in [
        ("", "no topic"),
        ("[topics]\n", "no topic"),
        ("[topic.orders]\npartitions = 1\n", "`topic`"),
        ("[topics.orders]\n[topic.bills]\n", "`topic`"),
    ] {
        std::fs::write(path, text).unwrap();
        let (code, told) = world.fails(&["topics", "ensure", path, "--check"]);
        assert_eq!(code, 2, "{text}: {told}");
        assert!(
            told.contains(named) && told.contains(path),
            "{text}: {told}"
        );
    }
}
