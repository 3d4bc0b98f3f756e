//! A progress line on stderr for long work. Shown only on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// A line that is overwritten a few times a second.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The verb in front of the count, such as "sent".
    what: &'static str,
    /// The expected number of records. `None` if it is not known, which leaves out the bar.
    total: Option<u64>,
    /// The start of the work, for the rate.
    started: Instant,
    /// The time that the line was last written. `None` while no line is shown.
    shown: Option<Instant>,
    /// False if no line is ever shown.
    on: bool,
}

impl Progress {
    /// Begins a progress of `total` records, if that is known. With `quiet` nothing is shown,
    /// because the records themselves go to the terminal.
    pub(crate) fn new(what: &'static str, total: Option<u64>, quiet: bool) -> Self {
        Self {
            what,
            total,
            started: Instant::now(),
            shown: None,
            on: io::stderr().is_terminal() && !quiet,
        }
    }

    /// Shows the count, at most five times a second.
    pub(crate) fn at(&mut self, count: u64) {
        if !self.on || self.shown.is_some_and(|shown| shown.elapsed() < EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        let _ = write!(io::stderr(), "\r{}\x1b[K", self.line(count));
    }

    /// Erases the line.
    pub(crate) fn end(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn line(&self, count: u64) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = count as f64 / seconds;
        let what = self.what;
        match self.total.filter(|total| *total > 0) {
            Some(total) => {
                let done = (count.min(total) * WIDTH / total) as usize;
                let left = WIDTH as usize - done;
                let bar = format!("{}{}", "#".repeat(done), ".".repeat(left));
                format!("{what} [{bar}] {count} of {total}, {rate:.0}/s")
            }
            None => format!("{what} {count}, {rate:.0}/s"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// The shortest time between two writes of the line.
const EVERY: Duration = Duration::from_millis(200);
/// The width of the bar in characters.
const WIDTH: u64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_with_the_share_that_is_done() {
        let progress = Progress::new("sent", Some(200), true);
        let line = progress.line(100);
        assert!(
            line.contains("[###############...............] 100 of 200"),
            "{line}"
        );
        assert!(
            Progress::new("sent", None, true)
                .line(7)
                .starts_with("sent 7, ")
        );
    }
}
