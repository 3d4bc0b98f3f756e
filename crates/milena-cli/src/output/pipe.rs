//! Standard output for records. A thread of its own writes it, so a slow reader does not hold up
//! the command.

use std::io::{self, Write};
use std::time::Duration;

use crate::failure::Failure;
use crate::signals::Signals;

/// Standard output, with the bytes that are not written yet.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// The bytes to write next.
    pub(crate) out: Vec<u8>,
    /// The signals that end a wait for a slow reader.
    signals: Signals,
}

impl Pipe {
    pub(crate) fn new(signals: Signals) -> Self {
        Self {
            out: Vec::with_capacity(2 * FLUSH_AT),
            signals,
        }
    }

    /// Returns true if there are enough bytes to be worth a write.
    pub(crate) fn is_full(&self) -> bool {
        self.out.len() >= FLUSH_AT
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// The reason that the bytes cannot be written. Interrupted if a signal came and the reader
    /// took nothing for [`PATIENCE`]. It is then unknown how many bytes were written, and all of
    /// them are dropped.
    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
        if self.out.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.out);
        // A write to a full pipe blocks until its reader reads. On a thread of its own it does not
        // keep the command from receiving signals.
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

    /// Waits until the reader of a pipe or socket has closed it. Waits forever if standard output
    /// is something else.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub(crate) async fn reader_gone() {
        #[cfg(unix)]
        {
            use std::os::fd::AsFd;
            use tokio::io::Interest;
            use tokio::net::unix::pipe::Sender;

            // The file description is shared with other processes, so it stays blocking. Files and
            // devices are refused here, because they have no reader.
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

/// The number of bytes that is worth a write.
const FLUSH_AT: usize = 256 << 10;
/// The time that the command waits for a reader that takes nothing after a signal.
const PATIENCE: Duration = Duration::from_secs(2);
