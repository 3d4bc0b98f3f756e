//! The chunks of standard input or of a file.

use std::io::{self, Read};
use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::failure::Failure;

/// Reads standard input or a file on a thread of its own, and returns the channel of its chunks.
pub(super) fn input(file: Option<PathBuf>) -> mpsc::Receiver<Result<Vec<u8>, Failure>> {
    // The channel is bounded, so that a fast input waits for a slow cluster.
    let (send, chunks) = mpsc::channel(4);
    std::thread::spawn(move || {
        let name = match &file {
            Some(path) => path.display().to_string(),
            None => "standard input".to_owned(),
        };
        let opened: io::Result<Box<dyn Read>> = match &file {
            Some(path) => std::fs::File::open(path).map(|file| Box::new(file) as Box<dyn Read>),
            None => Ok(Box::new(io::stdin().lock())),
        };
        let mut source = match opened {
            Ok(source) => source,
            Err(error) => {
                let _ = send.blocking_send(Err(Failure::input(&name, &error)));
                return;
            }
        };
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match source.read(&mut chunk) {
                Ok(0) => return,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let _ = send.blocking_send(Err(Failure::input(&name, &error)));
                    return;
                }
            };
            chunk.truncate(read);
            if send.blocking_send(Ok(chunk)).is_err() {
                return;
            }
        }
    });
    chunks
}

/// The size of a chunk in bytes.
const CHUNK: usize = 1 << 20;
