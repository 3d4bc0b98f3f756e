//! The signs by which a process is asked to end.

/// Resolves at the first SIGINT (Ctrl-C) or SIGTERM after the call, and names it.
///
/// From the call on, the signal no longer ends the process by itself: finish what is under way, then return. Call it again to wait for
/// another one. Where the platform has no SIGTERM, Ctrl-C alone counts; where no signal can be watched, it never resolves.
///
/// # Cancel safety
/// May be dropped; the process keeps ignoring the signals then.
pub fn shutdown_signal() -> impl Future<Output = &'static str> + Send + 'static {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        // Registered here, not at the first poll: a signal between the two would be lost.
        let interrupt = signal(SignalKind::interrupt());
        let terminate = signal(SignalKind::terminate());
        async move {
            match (interrupt, terminate) {
                (Ok(mut interrupt), Ok(mut terminate)) => {
                    tokio::select! {
                        _ = interrupt.recv() => "SIGINT",
                        _ = terminate.recv() => "SIGTERM",
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
    async {
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            Err(error) => {
                tracing::warn!(%error, "Ctrl-C cannot be watched");
                std::future::pending().await
            }
        }
    }
}
