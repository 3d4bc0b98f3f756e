//! `milena`: a cluster from a shell.

use std::process::ExitCode;

fn main() -> ExitCode {
    milena_cli::main()
}
