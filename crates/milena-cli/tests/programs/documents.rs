//! The commands of the documents, run as they stand there.

use std::path::Path;
use std::process::Command;

use crate::world::{World, run};

#[test]
fn the_commands_of_the_quickstart_run_as_they_stand_there() {
    let text = std::fs::read_to_string(root().join("QUICKSTART.md")).unwrap();
    let (_, section) = text.split_once("## The command").unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (commands, _) = block.split_once("```").unwrap();
    assert!(commands.lines().count() > 5);
    // On the embedded broker alone: the topic's name is not this test's own.
    let world = World::embedded();
    let path = std::env::var("PATH").unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_milena")).parent().unwrap();
    for line in commands.lines() {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", line])
            .env("PATH", format!("{}:{path}", binary.display()))
            .env("MILENA_BOOTSTRAP", &world.bootstrap);
        let output = run(shell, b"");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{line}: {told}");
        if line.contains("-f ") {
            assert!(printed.contains("customer-7 paid"), "{line}: {printed}");
        }
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
