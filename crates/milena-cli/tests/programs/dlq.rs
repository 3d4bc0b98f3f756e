//! Dead letters from a shell.

use crate::world::{World, run, words};

/// Writes three letters, which are two timeouts of `origin` and one poison record of another topic.
fn letters(world: &World, origin: &str) -> String {
    let dead = world.topic(1);
    for (from, class, offset, value) in [
        (origin, "timeout", "3", "one"),
        (origin, "timeout", "4", "two"),
        ("elsewhere", "poison", "9", "three"),
    ] {
        let args = letter(&dead, from, class, offset, value);
        world.out(&args.iter().map(String::as_str).collect::<Vec<_>>());
    }
    dead
}

/// The command that writes one letter.
fn letter(dead: &str, from: &str, class: &str, offset: &str, value: &str) -> Vec<String> {
    let mut args = ["produce", dead, "--value", value]
        .map(str::to_owned)
        .to_vec();
    for header in [
        format!("milena.origin.topic={from}"),
        "milena.origin.partition=0".to_owned(),
        format!("milena.origin.offset={offset}"),
        format!("milena.cause.class={class}"),
    ] {
        args.extend(["-H".to_owned(), header]);
    }
    args
}

#[test]
fn letters_are_counted_listed_shown_and_exported() {
    let world = World::new();
    let origin = world.topic(1);
    let dead = letters(&world, &origin);
    let summary = world.out(&["dlq", "summary", &dead]);
    assert!(
        summary.contains(&format!("{origin}\ttimeout\t2\n")),
        "{summary}"
    );
    assert!(summary.contains("elsewhere\tpoison\t1\n"), "{summary}");
    let listed = world.out(&["dlq", "list", &dead, "--class", "poison"]);
    assert!(listed.starts_with("0\t2\telsewhere\t0\t9\t"), "{listed}");
    let shown = world.out(&["dlq", "show", &dead, "0", "1"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["value"], "two");
    let exported = world.out(&["dlq", "export", &dead, "--origin", &origin]);
    assert_eq!(exported.lines().count(), 2, "{exported}");
    let (code, told) = world.fails(&["dlq", "summary", "no-such-dlq"]);
    assert_eq!(code, 4, "{told}");
}

#[test]
fn letters_go_back_to_where_they_came_from_only_when_confirmed() {
    let world = World::new();
    let origin = world.topic(1);
    let dead = letters(&world, &origin);
    let replay = ["dlq", "replay", &dead, "--class", "timeout"];
    let with = |more: &str| {
        let mut args = replay.to_vec();
        args.push(more);
        args.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let args = |args: &Vec<String>| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = run(world.milena(&args), b"");
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    assert_eq!(
        args(&with("--dry-run")),
        (Some(0), "2\t0\t0\t0\t0\t0\t0\n".to_owned())
    );
    assert_eq!(world.fails(&replay).0, 5);
    let told = |line: &str| (Some(0), format!("{line}\n"));
    assert_eq!(args(&with("--yes")), told("2\t0\t0\t0\t0\t0\t0"));
    // The letters are marked by now.
    assert_eq!(args(&with("--yes")), told("0\t2\t0\t0\t0\t0\t0"));
    let read = ["consume", &origin, "--from-beginning", "--until", "end"];
    assert_eq!(world.out(&read), "one\ntwo\n");
}

#[test]
fn a_list_that_is_cut_says_so_and_a_letter_that_is_not_there_is_told_at_once() {
    let world = World::new();
    let dead = letters(&world, "orders");
    let cut = run(world.milena(&["dlq", "list", &dead, "--count", "2"]), b"");
    let told = String::from_utf8(cut.stderr).unwrap();
    assert_eq!(String::from_utf8(cut.stdout).unwrap().lines().count(), 2);
    assert!(
        cut.status.success() && told.contains("more than 2"),
        "{told}"
    );
    let whole = run(world.milena(&["dlq", "list", &dead, "--count", "3"]), b"");
    assert!(whole.stderr.is_empty());
    let (code, told) = world.fails(&["dlq", "show", &dead, "0", "3"]);
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("there is no letter at"), "{told}");
}

#[test]
fn a_dry_run_does_not_claim_that_letters_were_sent() {
    let world = World::new();
    let origin = world.topic(1);
    let dead = letters(&world, &origin);
    let args = format!("dlq replay {dead} --class timeout --dry-run -o");
    let args = words(&args);
    let table = world.out(&[&args[..], &["table"]].concat());
    assert!(table.starts_with("WOULD BE REPLAYED"), "{table}");
    let json = world.out(&[&args[..], &["json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["would_be_replayed"], 2);
}

#[test]
fn a_record_with_two_letters_is_told_as_one_and_sent_back_once() {
    let world = World::new();
    let origin = world.topic(1);
    let dead = letters(&world, &origin);
    let again = letter(&dead, &origin, "timeout", "3", "one");
    world.out(&again.iter().map(String::as_str).collect::<Vec<_>>());

    let listed = world.out(&["dlq", "list", &dead, "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let same: Vec<_> = (0..4)
        .map(|n| listed[n]["same_record_as"].clone())
        .collect();
    assert_eq!(same[..3], [(); 3].map(|()| serde_json::Value::Null));
    assert_eq!(same[3], "0@0", "{listed}");
    let table = world.out(&["dlq", "list", &dead, "-o", "table"]);
    assert!(table.contains("SAME RECORD AS"), "{table}");
    let exported = world.out(&["dlq", "export", &dead]);
    let last: serde_json::Value = serde_json::from_str(exported.lines().last().unwrap()).unwrap();
    assert_eq!(last["same_record_as"], "0@0", "{exported}");

    let replay = ["dlq", "replay", &dead, "--origin", &origin, "--yes"];
    let planned = world.out(&[&replay[..], &["--dry-run"]].concat());
    assert_eq!(planned, "2\t0\t0\t0\t0\t0\t1\n");
    assert_eq!(world.out(&replay), "2\t0\t0\t0\t0\t0\t1\n");
    let read = ["consume", &origin, "--from-beginning", "--until", "end"];
    assert_eq!(world.out(&read), "one\ntwo\n");
    // The copy is marked, too: alone it is not sent either.
    assert_eq!(world.out(&replay), "0\t3\t0\t0\t0\t0\t0\n");
    let both = [&replay[..], &["--again", "--max-replays", "9"]].concat();
    assert_eq!(world.out(&both), "2\t0\t0\t0\t0\t0\t1\n");
}
