//! The signals by which a user ends a command, which are SIGINT, SIGTERM and SIGHUP.

use tokio::sync::watch;

/// The signals that ask this process to end. The first one lets the command end in good order, and
/// the second one ends the process at once.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    /// True once a signal has come. The task that waits for signals holds the sender. On a platform
    /// without signals no task holds it.
    asked: watch::Receiver<bool>,
}

impl Signals {
    /// Watches from now on. The signals no longer end the process by themselves.
    pub(crate) fn watch() -> Self {
        let (told, asked) = watch::channel(false);
        // Registered here and not at the first poll of the task. A signal between the two would be
        // lost.
        let mut waiting = Waiting::register();
        tokio::spawn(async move {
            waiting.next().await;
            told.send_replace(true);
            waiting.next().await;
            std::process::exit(INTERRUPTED);
        });
        Self { asked }
    }

    /// Waits until the process is asked to end.
    ///
    /// # Cancel safety
    /// May be dropped and called again. A signal that has come is not forgotten.
    pub(crate) async fn asked(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            // No task watches any more, so no signal can come.
            std::future::pending::<()>().await;
        }
    }

    /// Returns true if the process was asked to end.
    pub(crate) fn have_come(&self) -> bool {
        *self.asked.borrow()
    }
}

/// The signals that are watched. On Unix these are SIGINT, SIGTERM and SIGHUP. Elsewhere it is
/// Ctrl-C.
struct Waiting {
    /// The streams of SIGINT, SIGTERM and SIGHUP. `None` for a signal that is not watched.
    #[cfg(unix)]
    streams: [Option<tokio::signal::unix::Signal>; 3],
}

impl Waiting {
    #[cfg(unix)]
    fn register() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        let watched = |kind| signal(kind).ok();
        // nohup ignores SIGHUP so that the command outlives its terminal. It must stay ignored.
        let hangup = Some(SignalKind::hangup()).filter(|kind| !is_ignored(*kind));
        let streams = [
            watched(SignalKind::interrupt()),
            watched(SignalKind::terminate()),
            hangup.and_then(watched),
        ];
        Self { streams }
    }

    #[cfg(not(unix))]
    fn register() -> Self {
        Self {}
    }

    /// Waits for the next of the signals.
    #[cfg(unix)]
    async fn next(&mut self) {
        async fn one(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        let [interrupt, terminate, hangup] = &mut self.streams;
        tokio::select! {
            () = one(interrupt) => {}
            () = one(terminate) => {}
            () = one(hangup) => {}
        }
    }

    /// Waits for the next Ctrl-C.
    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            tracing::warn!("Ctrl-C cannot be watched");
            std::future::pending().await
        }
    }
}

/// Returns true if the parent process had the signal ignored, as nohup does. Works on Linux only.
#[cfg(unix)]
fn is_ignored(kind: tokio::signal::unix::SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or_default();
    mask.is_some_and(|mask| mask >> bit & 1 == 1)
}

/// The exit code of a command that was interrupted.
const INTERRUPTED: i32 = 130;
