//! Runs milena and other Kafka clients on the same target, each in a process of its own, and
//! compares their costs.

mod args;
mod case;
mod clients;
mod consume;
mod driver;
mod load;
mod measure;
mod report;
mod stub;
mod target;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Produce(flags) => driver::produce(&flags),
        Command::Consume(flags) => consume::consume(&flags),
        Command::Chart(flags) => report::redraw(&flags),
        Command::Worker { task } => worker::run(&task),
        Command::Stub(flags) => stub::run(&flags),
        Command::Embedded(flags) => target::embedded(&flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
