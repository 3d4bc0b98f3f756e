//! kcat and the command read each other's records, byte for byte.

use std::process::Command;

use crate::world::{World, run, words};

fn kcat(world: &World, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("kcat");
    command.args(["-q", "-b", &world.bootstrap]).args(args);
    let output = run(command, input);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "kcat {args:?}: {told}");
    output.stdout
}

fn milena(world: &World, args: &[&str], input: &[u8]) -> Vec<u8> {
    let output = run(world.milena(args), input);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {told}");
    output.stdout
}

#[test]
#[ignore = "needs kcat; scripts/foreign-clients runs it"]
fn both_print_the_same_of_the_same_records() {
    let world = World::new();
    let topic = world.topic(1);
    // Headers, a null value by -Z, an empty key, and bytes that are not text.
    kcat(
        &world,
        &[
            "-P", "-t", &topic, "-K=", "-Z", "-H", "a=1", "-H", "b=two", "-p0",
        ],
        b"k=v\nempty=\n=\xff\xfe\n",
    );
    milena(
        &world,
        &["produce", &topic, "-K", "=", "--null", "NULL", "-H", "c=3"],
        b"m=1\nNULL=2\nx=NULL\n=\n",
    );
    let format = "%t %p %o %T [%K] %k [%S] %s {%h}\\n";
    let read = format!("consume {topic} --from-beginning --until end -f");
    let read = [&words(&read)[..], &[format]].concat();
    let ours = milena(&world, &read, b"");
    let theirs = kcat(
        &world,
        &["-C", "-t", &topic, "-e", "-o", "beginning", "-f", format],
        b"",
    );
    assert_eq!(
        String::from_utf8_lossy(&ours),
        String::from_utf8_lossy(&theirs)
    );
    assert_eq!(ours, theirs);
    // kcat also shows an empty key as null, so the last record is left out.
    let args = format!("consume {topic} --from-beginning --count 6 -K : --null NULL");
    let args = words(&args);
    let ours = milena(&world, &args, b"");
    let args = format!("-C -t {topic} -c 6 -o beginning -K: -Z");
    let args = words(&args);
    let theirs = kcat(&world, &args, b"");
    assert_eq!(
        String::from_utf8_lossy(&ours),
        String::from_utf8_lossy(&theirs)
    );
}

#[test]
#[ignore = "needs kcat; scripts/foreign-clients runs it"]
fn lines_that_one_wrote_come_out_of_the_other_unchanged() {
    let world = World::new();
    let lines: String = (0..50_000).map(|n| format!("line {n} \u{e9}\n")).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = world.topic(1);
        milena(&world, &["produce", &topic, "-z", codec], lines.as_bytes());
        let read = kcat(&world, &["-C", "-t", &topic, "-e", "-o", "beginning"], b"");
        assert!(read == lines.as_bytes(), "{codec}: {} bytes", read.len());
        let topic = world.topic(1);
        kcat(&world, &["-P", "-t", &topic, "-z", codec], lines.as_bytes());
        let read = milena(
            &world,
            &["consume", &topic, "--from-beginning", "--until", "end"],
            b"",
        );
        assert!(read == lines.as_bytes(), "{codec}: {} bytes", read.len());
    }
}

#[test]
#[ignore = "needs kcat; scripts/foreign-clients runs it"]
fn both_place_keys_alike_under_the_same_scheme() {
    let world = World::new();
    let keys: String = (0..500).map(|n| format!("key-{n}=\n")).collect();
    let ours = world.topic(7);
    milena(
        &world,
        &words(&format!(
            "produce {ours} -K = --partitioner consistent_random"
        )),
        keys.as_bytes(),
    );
    let theirs = world.topic(7);
    kcat(&world, &["-P", "-t", &theirs, "-K="], keys.as_bytes());
    let placed = |topic: &str| {
        let args = [
            "consume",
            topic,
            "--from-beginning",
            "--until",
            "end",
            "-f",
            "%p %k\\n",
        ];
        let read = String::from_utf8(milena(&world, &args, b"")).unwrap();
        let mut read: Vec<String> = read.lines().map(str::to_owned).collect();
        read.sort();
        read
    };
    assert_eq!(placed(&ours).len(), 500);
    assert_eq!(placed(&ours), placed(&theirs));
}
