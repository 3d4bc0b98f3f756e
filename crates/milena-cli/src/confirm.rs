//! The question before an action that cannot be undone.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::args::Global;
use crate::failure::Failure;

/// Asks whether to go on, unless `--yes` was given. Fails without a terminal to ask on.
pub(crate) fn confirm(global: &Global, what: &str) -> Result<(), Failure> {
    if global.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        let words = format!("{what}: not confirmed");
        return Err(
            Failure::state(words).hint("there is no terminal to ask on, so pass --yes to confirm")
        );
    }
    let mut stderr = io::stderr().lock();
    // Asked on stderr, so that standard output holds only results.
    let _ = write!(stderr, "{what}? [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::input("the answer", &error))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::state("nothing was done")),
    }
}
