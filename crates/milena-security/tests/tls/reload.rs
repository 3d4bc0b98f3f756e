//! Reloads of files by content, in paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use milena_core::{Timestamp, WallClock};
use milena_security::tls::{IdentitySource, PemSource, Reload, TlsBuilder, TlsConfig, TlsWatch};
use parking_lot::Mutex;

use crate::bed::{Ca, Issued};

struct Files {
    folder: tempfile::TempDir,
    ca: Ca,
}

impl Files {
    fn new() -> Self {
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
            ca: Ca::root("root"),
        };
        files.write("ca.pem", files.ca.pem());
        files.identity(&files.ca.issue(&["client"]));
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn identity(&self, issued: &Issued) {
        self.write("client.pem", &issued.chain);
        self.write("client.key", &issued.key);
    }

    fn settings(&self) -> TlsBuilder {
        let file = |name: &str| PemSource::file(self.folder.path().join(name));
        let roots = milena_security::tls::Roots::pem(file("ca.pem"));
        let identity = IdentitySource::new(file("client.pem"), file("client.key"));
        TlsConfig::builder().roots(roots).identity(identity)
    }
}

const EVERY: Duration = Duration::from_secs(60);

/// Waits for the next read, and for the thread that does it.
async fn next_read() {
    tokio::time::sleep(EVERY + Duration::from_secs(1)).await;
}

fn certificate(tls: &TlsConfig) -> Vec<u8> {
    tls.identity().unwrap().chain()[0].to_vec()
}

#[tokio::test(start_paused = true)]
async fn new_files_are_taken_and_broken_ones_keep_the_old() {
    let files = Files::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let watch = TlsWatch::start(files.settings(), EVERY, move |change| {
        heard.lock().push(change.clone());
    });
    let watch = watch.await.unwrap();
    let first = watch.current();
    for _ in 0..3 {
        next_read().await;
    }
    assert_eq!(
        (watch.reloads(), watch.failures()),
        (0, 0),
        "nothing changed"
    );

    files.identity(&files.ca.issue(&["client"]));
    let second = watch.newer_than(&first).await.unwrap();
    tokio::task::yield_now().await;
    assert_ne!(certificate(&first), certificate(&second));
    assert!(!first.is_same(&second));
    assert_eq!(watch.reloads(), 1);

    // A certificate without its key, as between two writes, and then no file at all.
    files.write("client.pem", &files.ca.issue(&["client"]).chain);
    for _ in 0..3 {
        next_read().await;
    }
    assert_eq!(
        (watch.reloads(), watch.failures()),
        (1, 1),
        "each content is told once"
    );
    std::fs::remove_file(files.folder.path().join("ca.pem")).unwrap();
    for _ in 0..3 {
        next_read().await;
    }
    assert_eq!((watch.reloads(), watch.failures()), (1, 2));
    assert_eq!(certificate(&watch.current()), certificate(&second));

    files.write("ca.pem", files.ca.pem());
    files.identity(&files.ca.issue(&["client"]));
    watch.newer_than(&second).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!((watch.reloads(), watch.failures()), (2, 2));
    let told = told.lock();
    let kept = told.iter().filter_map(|change| match change {
        Reload::Kept(error) => Some(error.to_string()),
        _ => None,
    });
    let kept: Vec<_> = kept.collect();
    assert!(
        kept[0].contains("does not fit") && kept[1].contains("cannot be read"),
        "{kept:?}"
    );
    assert_eq!(told.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn files_that_come_back_unchanged_are_no_reload() {
    let files = Files::new();
    let watch = TlsWatch::start(files.settings(), EVERY, |_| {})
        .await
        .unwrap();
    std::fs::remove_file(files.folder.path().join("ca.pem")).unwrap();
    next_read().await;
    assert_eq!((watch.reloads(), watch.failures()), (0, 1));
    files.write("ca.pem", files.ca.pem());
    next_read().await;
    assert_eq!((watch.reloads(), watch.failures()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_becomes_valid_is_taken_without_another_change() {
    let files = Files::new();
    let now = Arc::new(AtomicI64::new(1_875_000_000_000));
    let read = Arc::clone(&now);
    let clock = WallClock::new(move || Timestamp::from_millis(read.load(Ordering::SeqCst)));
    let watch = TlsWatch::start(files.settings().clock(clock), EVERY, |_| {})
        .await
        .unwrap();
    files.identity(&files.ca.issue_for(&["client"], 2030, 2031));
    next_read().await;
    assert_eq!((watch.reloads(), watch.failures()), (0, 1));
    now.store(1_907_000_000_000, Ordering::SeqCst);
    next_read().await;
    assert_eq!((watch.reloads(), watch.failures()), (1, 1));
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_swapped_link_is_seen() {
    let files = Files::new();
    let other = Ca::root("other");
    let folder = files.folder.path();
    files.write("one.pem", files.ca.pem());
    files.write("two.pem", other.pem());
    let link = |to: &str| {
        let _ = std::fs::remove_file(folder.join("ca.pem"));
        std::os::unix::fs::symlink(folder.join(to), folder.join("ca.pem")).unwrap();
    };
    link("one.pem");
    let watch = TlsWatch::start(files.settings(), EVERY, |_| {})
        .await
        .unwrap();
    let first = watch.current();
    link("two.pem");
    watch.newer_than(&first).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn files_that_cannot_be_used_from_the_start_are_an_error() {
    let files = Files::new();
    files.write("client.key", "");
    let error = TlsWatch::start(files.settings(), EVERY, |_| {})
        .await
        .unwrap_err();
    assert!(error.to_string().contains("client.key"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_watch_ends_with_its_handle() {
    let files = Files::new();
    let told = Arc::new(());
    let held = Arc::clone(&told);
    let watch = TlsWatch::start(files.settings(), EVERY, move |_| {
        let _ = &held;
    });
    let watch = watch.await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&told), 2);
    drop(watch);
    next_read().await;
    assert_eq!(Arc::strong_count(&told), 1, "the task is gone");
}
