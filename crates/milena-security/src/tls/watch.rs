//! Reloads of a TLS configuration when the content of its files changes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use milena_core::{Error, ErrorKind, Result};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::builder::TlsBuilder;
use super::config::TlsConfig;

/// A change that a [`TlsWatch`] noticed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reload {
    /// The files changed, and new connections take them.
    Taken(TlsConfig),
    /// The files changed and cannot be used. The old configuration stays.
    Kept(Error),
}

/// A TLS configuration whose files are read again and again.
///
/// The files are compared by content. A change makes a new configuration, without the sessions of
/// the old one. A file that cannot be used keeps the old configuration, counts, and is told once
/// per content. Open connections stay as they are. The watch ends when it is dropped.
///
/// ```no_run
/// # async fn example() -> milena_core::Result<()> {
/// use std::time::Duration;
/// use milena_security::tls::{PemSource, Roots, TlsConfig, TlsWatch};
///
/// let settings = TlsConfig::builder().roots(Roots::pem(PemSource::file("/etc/kafka/ca.pem")));
/// let tls = TlsWatch::start(settings, Duration::from_secs(60), |change| {
///     println!("TLS files changed: {change:?}");
/// })
/// .await?;
/// let config = tls.current();
/// # Ok(())
/// # }
/// ```
pub struct TlsWatch {
    /// The newest configuration that can be used. The task writes it.
    current: watch::Receiver<TlsConfig>,
    /// Changes that were taken and that were not.
    counts: Arc<Counts>,
    /// The task that reads the files. Ended on drop.
    task: JoinHandle<()>,
}

/// Changes that were noticed. The task writes them.
#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    kept: AtomicU64,
}

impl TlsWatch {
    /// Reads the files of `settings` for the first time, and then each `every`. `told` hears of
    /// each change. It must not block.
    ///
    /// # Errors
    /// Those of [`TlsBuilder::build`].
    pub async fn start(
        settings: TlsBuilder,
        every: Duration,
        told: impl Fn(&Reload) + Send + Sync + 'static,
    ) -> Result<Self> {
        let (hash, first) = read(&settings, None).await?;
        let Some(first) = first else {
            return Err(Error::new(ErrorKind::State, "the TLS files were not read"));
        };
        let (sender, current) = watch::channel(first);
        let counts = Arc::new(Counts::default());
        let watcher = Watcher {
            settings,
            every: every.max(SHORTEST),
            used: hash,
            told_of: None,
            sender,
            counts: Arc::clone(&counts),
            told,
        };
        Ok(Self {
            current,
            counts,
            task: tokio::spawn(watcher.run()),
        })
    }

    /// Returns the newest configuration that can be used.
    #[must_use]
    pub fn current(&self) -> TlsConfig {
        self.current.borrow().clone()
    }

    /// Waits until the newest configuration is another one than `seen`, and returns it.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the watch ended.
    ///
    /// # Cancel safety
    /// If the future is dropped, no change is missed.
    pub async fn newer_than(&self, seen: &TlsConfig) -> Result<TlsConfig> {
        let mut current = self.current.clone();
        let newer = current.wait_for(|config| !config.is_same(seen)).await;
        match newer {
            Ok(config) => Ok(config.clone()),
            Err(_) => Err(Error::new(
                ErrorKind::Closed,
                "the TLS files are no longer watched",
            )),
        }
    }

    /// Returns the number of changes that were taken.
    #[must_use]
    pub fn reloads(&self) -> u64 {
        self.counts.taken.load(Ordering::Relaxed)
    }

    /// Returns the number of changes that could not be used.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.counts.kept.load(Ordering::Relaxed)
    }
}

impl Drop for TlsWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for TlsWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsWatch")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

/// The task of a [`TlsWatch`].
struct Watcher<F> {
    /// The places of the files.
    settings: TlsBuilder,
    /// The time between two reads.
    every: Duration,
    /// The hash of the files that are in use.
    used: [u8; 32],
    /// The bad files that were told of last. `None` while the files are good.
    told_of: Option<Bad>,
    /// The place of the newest configuration.
    sender: watch::Sender<TlsConfig>,
    /// Changes that were noticed.
    counts: Arc<Counts>,
    /// The function that hears of each change.
    told: F,
}

impl<F: Fn(&Reload) + Send + Sync + 'static> Watcher<F> {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(self.every).await;
            if self.sender.is_closed() {
                return;
            }
            match read(&self.settings, Some(self.used)).await {
                Ok((_, None)) => self.told_of = None,
                Ok((hash, Some(config))) => {
                    self.used = hash;
                    self.told_of = None;
                    self.sender.send_replace(config.clone());
                    self.counts.taken.fetch_add(1, Ordering::Relaxed);
                    tracing::info!("the TLS files changed, new connections use them");
                    (self.told)(&Reload::Taken(config));
                }
                Err(failure) => self.keep(failure),
            }
        }
    }

    /// Keeps the old configuration, and tells of each bad content once.
    ///
    /// Bad files are tried again at each read. A certificate that is not valid yet becomes valid
    /// without any change of its file.
    fn keep(&mut self, failure: Unusable) {
        let bad = match failure.hash {
            Some(hash) => Bad::Content(hash),
            None => Bad::Unreadable(failure.error.to_string()),
        };
        if self.told_of.as_ref() == Some(&bad) {
            return;
        }
        self.told_of = Some(bad);
        self.counts.kept.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(error = %failure.error, "the TLS files changed and cannot be used, the old ones stay");
        (self.told)(&Reload::Kept(failure.error));
    }
}

/// Files that cannot be used, as far as two of them are told apart.
#[derive(PartialEq)]
enum Bad {
    /// Files with this hash.
    Content([u8; 32]),
    /// A file that cannot be read, by the text of its error.
    Unreadable(String),
}

/// Files that cannot be used.
struct Unusable {
    /// The hash of their content. `None` if one could not be read.
    hash: Option<[u8; 32]>,
    /// The reason.
    error: Error,
}

impl From<Unusable> for Error {
    fn from(unusable: Unusable) -> Self {
        unusable.error
    }
}

/// Reads the files on a thread for blocking work. Returns their hash, and the configuration unless
/// the hash is `last`.
async fn read(
    settings: &TlsBuilder,
    last: Option<[u8; 32]>,
) -> Result<([u8; 32], Option<TlsConfig>), Unusable> {
    let settings = settings.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let material = settings
            .read()
            .map_err(|error| Unusable { hash: None, error })?;
        let hash = material.hash();
        if last == Some(hash) {
            return Ok((hash, None));
        }
        let config = settings.assemble(&material).map_err(|error| Unusable {
            hash: Some(hash),
            error,
        })?;
        Ok((hash, Some(config)))
    });
    reading.await.unwrap_or_else(|error| {
        let error =
            Error::new(ErrorKind::Panicked, "reading TLS files panicked").with_source(error);
        Err(Unusable { hash: None, error })
    })
}

/// The shortest time between two reads.
const SHORTEST: Duration = Duration::from_millis(10);
