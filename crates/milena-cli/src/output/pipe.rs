//! Standard output for records: written beside the command, so that a slow reader of it holds up nothing else.

use std::io::{self, Write};
use std::time::Duration;

use crate::failure::Failure;
use crate::signals::Signals;

/// Standard output, and the records that are on their way to it.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// What is to be written next.
    pub(crate) out: Vec<u8>,
    signals: Signals,
}

impl Pipe {
    pub(crate) fn new(signals: Signals) -> Self {
        Self {
            out: Vec::with_capacity(2 * FLUSH_AT),
            signals,
        }
    }

    /// Whether enough is there to be worth a write.
    pub(crate) fn is_full(&self) -> bool {
        self.out.len() >= FLUSH_AT
    }

    /// Writes what is there, all of it.
    ///
    /// # Errors
    /// Why it cannot be written; interrupted, where a signal comes and the reader takes nothing for [`PATIENCE`]. How much of it was
    /// written is not known then, and all of it is dropped.
    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
        if self.out.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.out);
        // By a thread of its own: a write to a full pipe waits for its reader, and signals have to be heard meanwhile.
        let writing = tokio::task::spawn_blocking(move || {
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(&bytes).and_then(|()| stdout.flush());
            (bytes, written)
        });
        let impatient = async {
            self.signals.asked().await;
            tokio::time::sleep(PATIENCE).await;
        };
        tokio::select! {
            done = writing => {
                let (mut bytes, written) = done.map_err(|error| Failure::failed(error.to_string()))?;
                bytes.clear();
                self.out = bytes;
                Ok(written?)
            }
            () = impatient => Err(Failure::interrupted()),
        }
    }

    /// Waits until the reader of a pipe or socket has gone away; for ever where standard output is something else.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub(crate) async fn reader_gone() {
        #[cfg(unix)]
        {
            use std::os::fd::AsFd;
            use tokio::io::Interest;
            use tokio::net::unix::pipe::Sender;

            // The description is shared, so it is left blocking. Files and devices are refused: nobody reads at their other end.
            let watched = io::stdout().as_fd().try_clone_to_owned();
            let watched = watched.and_then(Sender::from_owned_fd_unchecked);
            if let Ok(watched) = watched
                && watched.ready(Interest::ERROR).await.is_ok()
            {
                return;
            }
            std::future::pending::<()>().await;
        }
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    }
}

const FLUSH_AT: usize = 256 << 10;
/// How long a reader that takes nothing is waited for once a signal has come.
const PATIENCE: Duration = Duration::from_secs(2);
