//! Consuming. Counts the records of all clients in the same way, and turns the counts into a
//! measurement.

mod board;
mod clients;
mod driver;
mod feed;
mod tally;

use std::sync::Arc;

pub(crate) use driver::consume;
pub(crate) use feed::feed;

use crate::case::{ConsumeJob, Sample};
use board::Board;

/// Runs the consumer of a job in this process, until enough is measured. The consumer ends with the
/// process.
pub(crate) fn measure(job: &ConsumeJob) -> Result<Sample, String> {
    let board = Arc::new(Board::new(job));
    let (own, job_of) = (Arc::clone(&board), job.clone());
    std::thread::spawn(move || {
        if let Err(error) = clients::run(&job_of, &own) {
            own.fail(error);
        }
    });
    board.watch(job)
}
