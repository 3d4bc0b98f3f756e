//! A line of figures that is updated while the orders move.

use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use milena::Gate;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::tally::Tally;

/// Shows the figures every 250 ms until it is dropped. On a terminal it updates one line, otherwise
/// it prints lines.
pub async fn show(tally: &Tally, payments: &Gate) -> Infallible {
    let in_place = std::io::stdout().is_terminal();
    let _end = End(in_place);
    let started = Instant::now();
    let mut ticks = interval_at(started + TICK, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let text = line(tally, payments, started.elapsed());
        let mut out = std::io::stdout().lock();
        // A failure to show the progress must not stop the run.
        let _ = if in_place {
            write!(out, "\r\x1b[2K{text}")
        } else {
            writeln!(out, "{text}")
        };
        let _ = out.flush();
    }
}

/// Ends the updated line.
struct End(bool);

impl Drop for End {
    fn drop(&mut self) {
        if self.0 {
            println!();
        }
    }
}

fn line(tally: &Tally, payments: &Gate, elapsed: Duration) -> String {
    let [placed, valid, paid, shipped, _] = tally.written();
    let (seconds, retried) = (elapsed.as_secs_f64(), tally.retried());
    let waiting = match payments.is_open() {
        true => "",
        false => "  payments are down: waiting",
    };
    format!(
        "{seconds:5.1} s  placed {placed:>6}  valid {valid:>6}  paid {paid:>6}  shipped {shipped:>6}  retried {retried:>4}{waiting}"
    )
}

const TICK: Duration = Duration::from_millis(250);
