//! The signals by which a process is asked to end.

/// Resolves at the first SIGINT (Ctrl-C) or SIGTERM after the call; a second one ends the process at once.
///
/// From the call on, the first signal no longer ends the process by itself: finish what is under way, then return. It fits
/// [`Consumer::run_until`](milena_consumer::Consumer::run_until) as well as `axum::serve(…).with_graceful_shutdown(…)`, and
/// both beside each other. The second signal ends the process with the exit code of that signal (130, 143), whatever still
/// runs: nothing more is committed, and what was not committed is read again. Both are logged.
///
/// Use [`next_signal`] where the signal's name is wanted, or where a second signal is to do something else. Where the
/// platform has no SIGTERM, Ctrl-C alone counts; where no signal can be watched, it never resolves.
///
/// ```no_run
/// # async fn run(consumer: milena_client::consumer::Consumer) -> milena_client::core::Result<()> {
/// consumer.run_until(async |order: milena_client::core::Text| println!("{order:?}"), milena_client::shutdown_signal()).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// May be dropped; the process keeps ignoring the signals then.
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let mut signals = Signals::watch();
    async move {
        let first = signals.next().await;
        tracing::info!(
            signal = first.name,
            "shutting down; a second signal ends the process at once"
        );
        // Nobody awaits it: it ends with the process, in one way or the other.
        drop(tokio::spawn(async move {
            let second = signals.next().await;
            tracing::warn!(
                signal = second.name,
                "a second signal: the process ends at once"
            );
            std::process::exit(second.code);
        }));
    }
}

/// Resolves at the first SIGINT (Ctrl-C) or SIGTERM after the call, and names it.
///
/// From the call on, no signal ends the process by itself. Call it again to wait for another one. Where the platform has no
/// SIGTERM, Ctrl-C alone counts; where no signal can be watched, it never resolves.
///
/// # Cancel safety
/// May be dropped; the process keeps ignoring the signals then.
pub fn next_signal() -> impl Future<Output = &'static str> + Send + 'static {
    let mut signals = Signals::watch();
    async move { signals.next().await.name }
}

/// A signal that came.
struct Came {
    name: &'static str,
    /// The exit code of a process that it ends, as shells tell it.
    code: i32,
}

const INTERRUPT: Came = Came {
    name: "SIGINT",
    code: 130,
};

/// The signals that are watched. Registered when this is made, not at the first poll: a signal between the two would be lost.
#[cfg(unix)]
struct Signals {
    interrupt: std::io::Result<tokio::signal::unix::Signal>,
    terminate: std::io::Result<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn watch() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        Self {
            interrupt: signal(SignalKind::interrupt()),
            terminate: signal(SignalKind::terminate()),
        }
    }

    async fn next(&mut self) -> Came {
        match (&mut self.interrupt, &mut self.terminate) {
            (Ok(interrupt), Ok(terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => INTERRUPT,
                    _ = terminate.recv() => Came { name: "SIGTERM", code: 143 },
                }
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "signals cannot be watched");
                std::future::pending().await
            }
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn watch() -> Self {
        Self
    }

    async fn next(&mut self) -> Came {
        match tokio::signal::ctrl_c().await {
            Ok(()) => INTERRUPT,
            Err(error) => {
                tracing::warn!(%error, "Ctrl-C cannot be watched");
                std::future::pending().await
            }
        }
    }
}
