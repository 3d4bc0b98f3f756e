//! A million lines through the command and through kcat, each way, in one run. `make verify` runs
//! it.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::world::{World, words};

const LINES: u32 = 1_000_000;
const ROUNDS: usize = 3;

#[test]
#[ignore = "long, and needs kcat and an optimised build; make verify runs it"]
fn a_million_lines_each_way_lose_nothing_and_take_no_longer_than_kcats() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    let line = |n| format!("customer-{}={n:088}\n", n % 1_000);
    std::fs::write(&input, (0..LINES).map(line).collect::<String>()).unwrap();
    let expected = std::fs::read(&input).unwrap();

    let mut best = [Duration::MAX; 4];
    for _ in 0..ROUNDS {
        let (ours, theirs) = (world.topic(1), world.topic(1));
        let count = LINES.to_string();
        let kcat = ["-q", "-b", &world.bootstrap];
        let written = [
            (world.milena(&["produce", &ours, "-K", "="]), &input),
            (
                program("kcat", &kcat, &["-P", "-t", &theirs, "-K="]),
                &input,
            ),
        ];
        // Each one reads the records of the other.
        let read = [
            world.milena(&words(&format!(
                "consume {theirs} --from-beginning --count {count} -K ="
            ))),
            program(
                "kcat",
                &kcat,
                &["-C", "-t", &ours, "-o", "beginning", "-c", &count, "-K="],
            ),
        ];
        for (best, (command, input)) in best.iter_mut().zip(written) {
            *best = timed(command, input, &directory.path().join("none")).min(*best);
        }
        for (best, command) in best.iter_mut().skip(2).zip(read) {
            let output = directory.path().join("output");
            *best = timed(command, Path::new("/dev/null"), &output).min(*best);
            let got = std::fs::read(&output).unwrap();
            assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
        }
        world.out(&["topics", "delete", &ours, &theirs, "--yes"]);
    }
    let [our_writing, their_writing, our_reading, their_reading] = best;
    println!("{LINES} lines of 100 B, the best of {ROUNDS}:");
    println!("produce: milena {our_writing:.2?}, kcat {their_writing:.2?}");
    println!("consume: milena {our_reading:.2?}, kcat {their_reading:.2?}");
    assert!(our_writing <= their_writing && our_reading <= their_reading);
}

fn program(name: &str, first: &[&str], then: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(first).args(then);
    command
}

/// Measures a program from start to end. It must succeed.
fn timed(mut command: Command, input: &Path, output: &Path) -> Duration {
    let started = Instant::now();
    let status = command
        .stdin(Stdio::from(File::open(input).unwrap()))
        .stdout(Stdio::from(File::create(output).unwrap()))
        .status();
    assert!(status.unwrap().success(), "{command:?}");
    started.elapsed()
}
