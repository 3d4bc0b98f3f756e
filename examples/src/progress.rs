//! A line of figures that moves while the orders do.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use milena::Gate;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::tally::Tally;

/// Shows the figures each 250 ms until it is dropped: on a terminal in one line that is written over, else as lines.
pub async fn show(tally: Tally, payments: Option<Gate>, started: Instant) {
    let in_place = std::io::stdout().is_terminal();
    let mut ticks = interval(Duration::from_millis(250));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let text = line(&tally, payments.as_ref(), started.elapsed());
        let mut out = std::io::stdout().lock();
        // Progress that cannot be shown is no reason to stop.
        let _ = if in_place {
            write!(out, "\r\x1b[2K{text}")
        } else {
            writeln!(out, "{text}")
        };
        let _ = out.flush();
    }
}

/// Ends the line that [`show`] writes over.
pub fn end() {
    if std::io::stdout().is_terminal() {
        println!();
    }
}

fn line(tally: &Tally, payments: Option<&Gate>, elapsed: Duration) -> String {
    let waiting = payments.is_some_and(|gate| !gate.is_open());
    format!(
        "{:5.1} s  placed {:>6}  valid {:>6}  paid {:>6}  shipped {:>6}  retried {:>4}{}",
        elapsed.as_secs_f64(),
        tally.placed(),
        tally.validated(),
        tally.paid(),
        tally.shipped(),
        tally.retried(),
        if waiting {
            "  payments are down: waiting"
        } else {
            ""
        },
    )
}
