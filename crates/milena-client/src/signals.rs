//! The signals that ask a process to end.

/// Resolves at the first SIGINT (Ctrl-C) or SIGTERM after the call. A second signal ends the
/// process at once.
///
/// After the call, the first signal no longer ends the process by itself. The program should finish
/// its work and return. The future fits
/// [`Consumer::run_until`](milena_consumer::Consumer::run_until) and
/// `axum::serve(…).with_graceful_shutdown(…)`, also both at the same time. The second signal ends
/// the process with the exit code of that signal (130 or 143), even if work still runs. Nothing
/// more is committed, and records that were not committed are read again. Both signals are logged.
///
/// Use [`next_signal`] if you need the signal's name, or another action for a second signal. On a
/// platform without SIGTERM only Ctrl-C counts. If no signal can be watched, the future never
/// resolves.
///
/// ```no_run
/// # async fn run(consumer: milena_client::consumer::Consumer) -> milena_client::core::Result<()> {
/// let print = async |order: milena_client::core::Text| println!("{order:?}");
/// consumer.run_until(print, milena_client::shutdown_signal()).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// The future may be dropped. The process then keeps ignoring the signals.
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let mut signals = Signals::watch();
    async move {
        let first = signals.next().await;
        tracing::info!(
            signal = first.name,
            "shutting down; a second signal ends the process at once"
        );
        // The task is not awaited. It ends with the process.
        drop(tokio::spawn(async move {
            let second = signals.next().await;
            tracing::warn!(
                signal = second.name,
                "a second signal arrived; the process ends at once"
            );
            std::process::exit(second.code);
        }));
    }
}

/// Resolves with the name of the first SIGINT (Ctrl-C) or SIGTERM after the call.
///
/// After the call, no signal ends the process by itself. Call it again to wait for another signal.
/// On a platform without SIGTERM only Ctrl-C counts. If no signal can be watched, the future never
/// resolves.
///
/// # Cancel safety
/// The future may be dropped. The process then keeps ignoring the signals.
pub fn next_signal() -> impl Future<Output = &'static str> + Send + 'static {
    let mut signals = Signals::watch();
    async move { signals.next().await.name }
}

/// A signal that arrived.
struct Came {
    /// The name of the signal.
    name: &'static str,
    /// The exit code of a process that this signal ends, as shells report it.
    code: i32,
}

const INTERRUPT: Came = Came {
    name: "SIGINT",
    code: 130,
};

/// The watched signals. They are registered when this is made. Registered at the first poll, a
/// signal before that would be lost.
struct Signals {
    /// The stream of SIGINT, or the error of its registration.
    #[cfg(unix)]
    interrupt: std::io::Result<tokio::signal::unix::Signal>,
    /// The stream of SIGTERM, or the error of its registration.
    #[cfg(unix)]
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
impl Signals {
    fn watch() -> Self {
        Self {}
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
