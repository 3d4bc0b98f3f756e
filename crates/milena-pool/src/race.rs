//! Runs several attempts at once, with staggered starts. The first success wins.

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

/// Runs `attempt` for each item. The next attempt starts `stagger` after the one before, or as soon
/// as one failed.
///
/// Returns the first success and drops the other attempts. Returns all failures if none succeeds.
pub(crate) async fn first<I, T, E, Fut>(
    items: impl IntoIterator<Item = I>,
    stagger: Duration,
    attempt: impl Fn(I) -> Fut,
) -> Result<T, Vec<E>>
where
    Fut: Future<Output = Result<T, E>>,
{
    let mut waiting = items.into_iter().peekable();
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        running.extend(waiting.next().map(&attempt));
        let next_at = Instant::now() + stagger;
        let more = waiting.peek().is_some();
        tokio::select! {
            ended = running.next(), if !running.is_empty() => match ended {
                Some(Ok(won)) => return Ok(won),
                Some(Err(error)) => failures.push(error),
                None => {}
            },
            () = sleep_until(next_at), if more => {}
            else => return Err(failures),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn after(seconds: u32, works: bool) -> Result<u32, u32> {
        sleep(SECOND * seconds).await;
        if works { Ok(seconds) } else { Err(seconds) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_attempt_does_not_hold_the_next_one_back() {
        let started = Instant::now();
        let won = first([60, 2, 1], SECOND, |seconds| after(seconds, true)).await;
        assert_eq!(won, Ok(2));
        assert_eq!(started.elapsed(), SECOND * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_one_at_once_and_all_are_told() {
        let started = Instant::now();
        let lost = first([0, 0, 3], SECOND, |seconds| after(seconds, false)).await;
        assert_eq!(lost, Err(vec![0, 0, 3]));
        assert_eq!(started.elapsed(), SECOND * 3);
        let none = first([0; 0], SECOND, |seconds| after(seconds, true)).await;
        assert_eq!(none, Err(vec![]));
    }
}
