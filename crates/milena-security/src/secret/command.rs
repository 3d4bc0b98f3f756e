//! The output of a command that prints a secret.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use milena_core::{Error, ErrorKind, Result};

/// Runs `program` with `args` for at most `time`, and returns what it printed. Blocks.
pub(crate) fn output(program: &str, args: &[String], time: Duration) -> Result<Vec<u8>> {
    let failed = |what: &str| {
        let text = format!("the command {program} that prints a secret {what}");
        Error::new(ErrorKind::Config, text)
    };
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| {
            failed("cannot be started: check its path and its permissions").with_source(error)
        })?;
    let Some(out) = child.stdout.take() else {
        return Err(failed("has no output"));
    };
    // The thread ends when the pipe closes, which killing the command brings about.
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = out.take(MOST + 1).read_to_end(&mut bytes).map(|_| bytes);
        // Nobody receives once the time is over.
        let _ = sender.send(read);
    });
    let late = || failed(&format!("did not end within {} s", time.as_secs()));
    let until = Instant::now() + time;
    let Ok(read) = receiver.recv_timeout(time) else {
        stop(child);
        return Err(late());
    };
    let bytes = read.map_err(|error| failed("cannot be read").with_source(error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST {
        stop(child);
        return Err(failed("printed more than 64 KiB"));
    }
    let Some(status) = ended(&mut child, until) else {
        stop(child);
        return Err(late());
    };
    if status.success() {
        Ok(bytes)
    } else {
        Err(failed(&format!(
            "failed ({status}): run it by hand to see why"
        )))
    }
}

/// Waits until the command has ended. `None` if it runs on after `until`, with its output closed.
fn ended(child: &mut Child, until: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Ends the command and takes its end from the system. One that has ended already is left alone.
fn stop(mut child: Child) {
    drop(child.kill());
    drop(child.wait());
}

/// The longest output, in bytes.
const MOST: u64 = 64 << 10;

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_hangs_is_ended() {
        let error = output("sleep", &["60".to_owned()], Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }

    #[test]
    fn a_command_that_prints_without_end_is_ended() {
        let error = output("yes", &[], Duration::from_secs(10)).unwrap_err();
        assert!(error.to_string().contains("more than 64 KiB"), "{error}");
    }
}
