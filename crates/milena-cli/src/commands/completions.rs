//! `milena completions`: what a shell needs to complete the command.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output;

/// For which shell.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell; its startup file takes what is printed.
    shell: Shell,
}

pub(crate) fn run(args: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "milena", &mut script);
    output::write(&script)
}
