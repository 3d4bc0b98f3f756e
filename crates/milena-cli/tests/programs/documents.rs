//! The commands of the documents: run as they are written, and held against the help.

use std::path::Path;
use std::process::Command;

use crate::world::{World, milena, run};

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

#[test]
fn every_command_and_option_that_the_documents_name_exists() {
    let documents = [
        "README.md",
        "QUICKSTART.md",
        "CHANGELOG.md",
        "docs/choosing.md",
        "docs/cookbook.md",
        "docs/runbook.md",
        "docs/tuning.md",
    ];
    let mut found = 0;
    for document in documents {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        for command in commands(&text) {
            let words: Vec<&str> = command.split(' ').skip(1).collect();
            let verbs = words.iter().copied().take_while(|word| is_verb(word));
            let args: Vec<&str> = verbs.chain(["--help"]).collect();
            let output = run(milena(&args), b"");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "`{command}` of {document}: {told}");
            let help = String::from_utf8_lossy(&output.stdout).into_owned();
            for option in words.iter().copied().filter(|word| word.starts_with("--")) {
                assert!(
                    help.contains(option),
                    "`{command}` of {document}: no {option}"
                );
            }
            found += 1;
        }
    }
    assert!(found > 10, "only {found} commands were found");
}

/// Returns the commands in backticks that call `milena`. Code blocks are left out.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            let spans = line.split('`').skip(1).step_by(2);
            let calls = spans.filter(|span| span.starts_with("milena "));
            found.extend(calls.map(str::to_owned));
        }
    }
    found
}

/// Returns true for a word that may be a command. Options and values of the user are not.
fn is_verb(word: &str) -> bool {
    !word.starts_with('-') && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
