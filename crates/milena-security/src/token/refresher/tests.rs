//! Shared fetches, failures and lifetimes.

use std::sync::atomic::AtomicI64;

use super::*;
use crate::token::CallbackProvider;

/// A provider that counts its calls and answers after `wait`. A clock that the test moves.
struct Bed {
    calls: Arc<AtomicU64>,
    now: Arc<AtomicI64>,
    failing: Arc<std::sync::atomic::AtomicBool>,
    refresher: Refresher,
}

fn bed(wait: Duration, life: Duration) -> Bed {
    let calls = Arc::new(AtomicU64::new(0));
    let now = Arc::new(AtomicI64::new(0));
    let failing = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let read = Arc::clone(&now);
    let clock = WallClock::new(move || Timestamp::from_millis(read.load(Ordering::SeqCst)));
    let (counted, failed, time) = (Arc::clone(&calls), Arc::clone(&failing), clock.clone());
    let provider = CallbackProvider::new(move || {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        let (failed, time) = (Arc::clone(&failed), time.clone());
        async move {
            tokio::time::sleep(wait).await;
            if failed.load(Ordering::SeqCst) {
                return Err(Error::new(
                    ErrorKind::Transport,
                    "the identity server is down",
                ));
            }
            Ok(BearerToken::new(
                format!("token-{number}"),
                time.now().plus(life),
            ))
        }
    });
    let refresher = Refresher::with(provider, RefreshPlan::default(), clock);
    Bed {
        calls,
        now,
        failing,
        refresher,
    }
}

impl Bed {
    async fn token(&self) -> Result<String> {
        Ok(self.refresher.token().await?.value().text()?.to_owned())
    }

    fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn fifty_connections_at_once_make_one_fetch() {
    let bed = bed(Duration::from_secs(3), HOUR);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let refresher = bed.refresher.clone();
        waiting.spawn(async move { refresher.token().await.unwrap() });
    }
    let tokens = waiting.join_all().await;
    assert!(
        tokens
            .iter()
            .all(|token| token.value() == &"token-0".into())
    );
    assert_eq!(bed.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_due_is_replaced_in_the_background() {
    let bed = bed(Duration::from_secs(3), HOUR);
    assert_eq!(bed.token().await.unwrap(), "token-0");
    bed.pass(2_600);
    assert_eq!(bed.token().await.unwrap(), "token-0");
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(bed.refresher.fetched(), 1);
    bed.pass(500);
    for _ in 0..9 {
        assert_eq!(bed.token().await.unwrap(), "token-0");
    }
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(bed.token().await.unwrap(), "token-1");
    assert_eq!(bed.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_keeps_the_old_token_while_it_is_valid() {
    let bed = bed(Duration::ZERO, HOUR);
    bed.token().await.unwrap();
    bed.failing.store(true, Ordering::SeqCst);
    bed.pass(3_500);
    for _ in 0..9 {
        assert_eq!(bed.token().await.unwrap(), "token-0");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(
        bed.refresher.failed(),
        1,
        "no fetch follows within a second"
    );
    bed.pass(50);
    bed.token().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(bed.refresher.failed(), 2);
    bed.pass(50);
    let error = bed.token().await.unwrap_err();
    assert!(
        error.to_string().contains("identity server is down"),
        "{error}"
    );
    bed.failing.store(false, Ordering::SeqCst);
    assert!(bed.token().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_ends_at_its_deadline() {
    let bed = bed(Duration::from_secs(1 << 30), HOUR);
    let error = bed.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("30 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_empty_or_expired_token_is_refused() {
    let empty = Refresher::new(CallbackProvider::new(|| async {
        Ok(BearerToken::new("", Timestamp::now().plus(HOUR)))
    }));
    assert!(
        empty
            .token()
            .await
            .unwrap_err()
            .to_string()
            .contains("empty")
    );
    let expired = bed(Duration::ZERO, Duration::ZERO);
    assert!(
        expired
            .token()
            .await
            .unwrap_err()
            .to_string()
            .contains("expired")
    );
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_leaves_the_fetch_to_the_next() {
    let bed = bed(Duration::from_secs(3), HOUR);
    let short = tokio::time::timeout(Duration::from_secs(1), bed.token()).await;
    assert!(short.is_err());
    assert_eq!(bed.token().await.unwrap(), "token-1");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once_and_not_at_once() {
    let bed = bed(Duration::ZERO, HOUR);
    let first = bed.refresher.token().await.unwrap().value().id();
    bed.refresher.refused(first);
    assert_eq!(bed.token().await.unwrap(), "token-0", "it is too young");
    bed.pass(60);
    bed.refresher.refused(first);
    assert_eq!(bed.token().await.unwrap(), "token-1");
    bed.pass(60);
    bed.refresher.refused(first);
    assert_eq!(
        bed.token().await.unwrap(),
        "token-1",
        "another one was refused"
    );
}
