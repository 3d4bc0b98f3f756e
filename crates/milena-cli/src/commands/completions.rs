//! `milena completions`, which prints the completion script of a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output;

/// The shell to complete in.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell, whose startup file the printed text is for.
    shell: Shell,
}

pub(crate) fn run(args: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "milena", &mut script);
    output::write(&script)
}
