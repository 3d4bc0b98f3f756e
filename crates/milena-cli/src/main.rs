//! `milena`, the command.

use std::process::ExitCode;

fn main() -> ExitCode {
    milena_cli::main()
}
