//! Runs one batch. Makes the arguments and calls the handler until each record has its answer.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::future::FutureExt;
use milena_core::{BatchOutcome, FromRecord, Incoming, IntoBatchOutcome, Outcome, ProcessError};

use super::gather::{Answer, later, panicked};

/// The order between the records of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// No order. The records come from different lanes, and one that fails delays no other.
    Any,
    /// The order of one lane. A failed record must be retried before those behind it.
    Kept,
}

/// Returns the answers for all records, in the order of `records`.
pub(super) async fn run<H, A, Fut, T>(
    handler: H,
    state: Arc<T>,
    records: Vec<Incoming>,
    order: Order,
) -> Vec<Answer>
where
    H: Fn(Vec<A>) -> Fut,
    Fut: Future,
    Fut::Output: IntoBatchOutcome,
    A: FromRecord<T>,
{
    match order {
        Order::Any => run_any(handler, &state, records).await,
        Order::Kept => run_in_order(handler, &state, records).await,
    }
}

/// Calls the handler once. Records behind a failure are left for later, unless the handler has
/// answered for them.
async fn run_in_order<H, A, Fut, T>(handler: H, state: &T, records: Vec<Incoming>) -> Vec<Answer>
where
    H: Fn(Vec<A>) -> Fut,
    Fut: Future,
    Fut::Output: IntoBatchOutcome,
    A: FromRecord<T>,
{
    let mut answers: Vec<Option<Answer>> = records.iter().map(|_| None).collect();
    let all = Asked {
        most: records.len(),
        ends: asks_again,
    };
    let (arguments, asked) = arguments::<A, T>(state, &records, &mut answers, all).await;
    match ask(handler, arguments, asked.len()).await {
        Told::Each(told) => {
            for (at, told) in asked.iter().zip(told) {
                if let Some(answer) = answers.get_mut(*at) {
                    *answer = told;
                }
            }
        }
        // The handler does not say which of the records failed. All come again, and the first of
        // them is tried alone.
        Told::Whole(error) => match asked.as_slice() {
            [alone] => {
                if let Some(answer) = answers.get_mut(*alone) {
                    *answer = Some(Err(error));
                }
            }
            several => tell(several.len(), &error),
        },
    }
    let mut again = false;
    let settle = |answer: Option<Answer>| match answer {
        Some(answer) if !(again && asks_again(&answer)) => {
            again |= asks_again(&answer);
            answer
        }
        _ => Ok(later()),
    };
    answers.into_iter().map(settle).collect()
}

fn asks_again(answer: &Answer) -> bool {
    match answer {
        Ok(outcome) => matches!(outcome, Outcome::Retry { .. } | Outcome::Hold(_)),
        Err(error) => error.class().is_retriable(),
    }
}

/// Calls the handler until each record has an answer of its own.
///
/// After a call that failed as a whole, the first record is tried alone. Each call that answers
/// doubles the number of records for the next one.
async fn run_any<H, A, Fut, T>(handler: H, state: &T, records: Vec<Incoming>) -> Vec<Answer>
where
    H: Fn(Vec<A>) -> Fut,
    Fut: Future,
    Fut::Output: IntoBatchOutcome,
    A: FromRecord<T>,
{
    let mut answers: Vec<Option<Answer>> = records.iter().map(|_| None).collect();
    let mut most = records.len();
    // The loop ends. Each call answers at least one record, or is followed by a call for a single
    // record, which does.
    loop {
        let some = Asked {
            most,
            ends: |_| false,
        };
        let (arguments, asked) = arguments::<A, T>(state, &records, &mut answers, some).await;
        if asked.is_empty() {
            return answers.into_iter().flatten().collect();
        }
        let told = match ask(&handler, arguments, asked.len()).await {
            Told::Whole(error) if asked.len() > 1 => {
                tell(asked.len(), &error);
                most = 1;
                continue;
            }
            Told::Whole(error) => vec![Some(Err(error))],
            Told::Each(told) => told,
        };
        most = most.saturating_mul(2);
        for (at, told) in asked.iter().zip(told) {
            if let Some(answer) = answers.get_mut(*at) {
                *answer = told;
            }
        }
    }
}

/// The selection of records for one call of the handler.
struct Asked {
    /// The largest number of records.
    most: usize,
    /// Returns true if this answer of a record without an argument ends the selection.
    ends: fn(&Answer) -> bool,
}

/// Extracts the arguments of records without an answer. Returns them with the indexes of their
/// records.
///
/// If extraction fails, the error is the record's answer.
async fn arguments<A: FromRecord<T>, T>(
    state: &T,
    records: &[Incoming],
    answers: &mut [Option<Answer>],
    wanted: Asked,
) -> (Vec<A>, Vec<usize>) {
    let (mut arguments, mut asked) = (Vec::new(), Vec::new());
    for ((at, record), answer) in records.iter().enumerate().zip(answers) {
        if answer.is_some() {
            continue;
        }
        if asked.len() >= wanted.most {
            break;
        }
        match A::from_record(record, state).await {
            Ok(argument) => {
                arguments.push(argument);
                asked.push(at);
            }
            Err(error) => {
                if (wanted.ends)(answer.insert(Err(error))) {
                    break;
                }
            }
        }
    }
    (arguments, asked)
}

/// The result of one call of the handler.
enum Told {
    /// One answer for each record. `None` for records that must be tried again.
    Each(Vec<Option<Answer>>),
    /// The call failed without naming a record. Settles none of several records.
    Whole(ProcessError),
}

/// Calls the handler for `count` records. A panic counts as an error.
async fn ask<H, A, Fut>(handler: H, arguments: Vec<A>, count: usize) -> Told
where
    H: Fn(Vec<A>) -> Fut,
    Fut: Future,
    Fut::Output: IntoBatchOutcome,
{
    if count == 0 {
        return Told::Each(Vec::new());
    }
    let calling = async { handler(arguments).await.into_batch_outcome(count) };
    match AssertUnwindSafe(calling).catch_unwind().await {
        Ok(told) => spread(told, count),
        Err(panic) => Told::Whole(panicked(&*panic)),
    }
}

fn spread(told: BatchOutcome, count: usize) -> Told {
    let done = told.results.len();
    let mut answers: Vec<_> = told.results.into_iter().map(Some).collect();
    match told.error {
        Some(error) if error.index().is_some() && done < count => {
            answers.push(Some(Err(error.into_error())));
        }
        Some(error) => return Told::Whole(error.into_error()),
        None if done == 0 => {
            let what = format!("the handler returned no answer for any of {count} records");
            return Told::Whole(ProcessError::transient(what));
        }
        None => {}
    }
    answers.resize_with(count, || None);
    Told::Each(answers)
}

/// Logs an error of several records. It is the answer of none of them, so no other layer sees it.
fn tell(records: usize, error: &ProcessError) {
    tracing::warn!(
        target: "milena::process",
        records,
        class = %error.class(),
        error = %error.chain(),
        "a batch failed without naming a record; its first record is tried alone"
    );
}

#[cfg(test)]
mod tests {
    use milena_core::{BatchError, ConsumerRecord, ErrorClass, Text};
    use parking_lot::Mutex;

    use super::*;

    fn records(values: &[&'static str]) -> Vec<Incoming> {
        let record = |(at, value): (usize, &&'static str)| {
            let mut record = ConsumerRecord::new("orders", 0, at as u32);
            record.value = (!value.is_empty()).then(|| (*value).into());
            Incoming::new(record)
        };
        values.iter().enumerate().map(record).collect()
    }

    fn words(answers: &[Answer]) -> Vec<&'static str> {
        let word = |answer: &Answer| match answer {
            Ok(outcome) => outcome.name(),
            Err(error) => error.class().name(),
        };
        answers.iter().map(word).collect()
    }

    #[tokio::test]
    async fn a_record_without_arguments_is_answered_alone() {
        let handler = async |texts: Vec<Text>| {
            assert_eq!(texts.len(), 2);
        };
        let answers = run(handler, Arc::new(()), records(&["a", "", "c"]), Order::Any).await;
        assert_eq!(words(&answers), ["ack", "poison", "ack"]);
    }

    #[tokio::test]
    async fn what_stands_behind_the_one_that_failed_comes_again_without_it() {
        let calls = Mutex::new(Vec::new());
        let handler = |texts: Vec<Text>| {
            let texts: Vec<String> = texts.into_iter().map(|text| text.0).collect();
            calls.lock().push(texts.join(""));
            async move {
                match texts.iter().position(|text| text.starts_with('x')) {
                    Some(at) => Err(BatchError::failed_from(at, ProcessError::business("no"))),
                    None => Ok(()),
                }
            }
        };
        let answers = run(
            handler,
            Arc::new(()),
            records(&["a", "x", "b", "x", "c"]),
            Order::Any,
        )
        .await;
        assert_eq!(
            words(&answers),
            ["ack", "business", "ack", "business", "ack"]
        );
        assert_eq!(*calls.lock(), ["axbxc", "bxc", "c"]);
    }

    #[tokio::test]
    async fn a_plain_error_fails_all_and_missing_answers_are_failures() {
        let handler = async |_: Vec<Text>| Err::<(), _>(ProcessError::dependency("store", "down"));
        let answers = run(handler, Arc::new(()), records(&["a", "b"]), Order::Any).await;
        assert_eq!(words(&answers), ["dependency", "dependency"]);

        let handler = async |_: Vec<Text>| vec![Ok(Outcome::Ack), Err(ProcessError::poison("no"))];
        let answers = run(handler, Arc::new(()), records(&["a", "b", "c"]), Order::Any).await;
        assert_eq!(words(&answers), ["ack", "poison", "transient"]);
    }

    #[tokio::test]
    async fn in_order_what_stands_behind_a_failure_comes_later() {
        let failed = |error: ProcessError| {
            let error = std::sync::Mutex::new(Some(error));
            move |texts: Vec<Text>| {
                let at = texts.iter().position(|text| text.0 == "x");
                let error = error.lock().unwrap().take();
                async move {
                    match (at, error) {
                        (Some(at), Some(error)) => Err(BatchError::failed_from(at, error)),
                        _ => Ok(()),
                    }
                }
            }
        };
        for (error, word) in [
            (ProcessError::transient("busy"), "transient"),
            (ProcessError::business("no"), "business"),
        ] {
            let handler = failed(error);
            let all = records(&["a", "x", "b", "x"]);
            let answers = run(handler, Arc::new(()), all, Order::Kept).await;
            assert_eq!(words(&answers), ["ack", word, "hold", "hold"]);
        }
    }

    #[tokio::test]
    async fn in_order_an_error_for_several_settles_none_of_them() {
        for class in [ErrorClass::Business, ErrorClass::Transient] {
            let handler = async |_: Vec<Text>| Err::<(), _>(ProcessError::new(class, "down"));
            let all = records(&["", "b", "c"]);
            let answers = run(handler, Arc::new(()), all, Order::Kept).await;
            assert_eq!(words(&answers), ["poison", "hold", "hold"]);
            let alone = run(handler, Arc::new(()), records(&["b"]), Order::Kept).await;
            assert_eq!(words(&alone), [class.name()]);
        }
    }

    #[tokio::test]
    async fn without_order_the_one_that_makes_all_fail_is_found_and_no_other_fails_for_it() {
        let calls = Mutex::new(Vec::new());
        let handler = |texts: Vec<Text>| {
            let texts: String = texts.into_iter().map(|text| text.0).collect();
            calls.lock().push(texts.clone());
            async move {
                match texts.contains('x') {
                    true => Err(ProcessError::business("no")),
                    false => Ok(()),
                }
            }
        };
        let all = records(&["a", "b", "c", "x", "e"]);
        let answers = run(handler, Arc::new(()), all, Order::Any).await;
        assert_eq!(words(&answers), ["ack", "ack", "ack", "business", "ack"]);
        assert_eq!(*calls.lock(), ["abcxe", "a", "bc", "xe", "x", "e"]);
    }

    #[tokio::test]
    async fn a_panic_for_several_settles_none_of_them() {
        let handler = async |texts: Vec<Text>| {
            let bad = texts.iter().any(|text| text.0 == "x");
            assert!(!bad, "no");
        };
        let answers = run(handler, Arc::new(()), records(&["a", "x"]), Order::Any).await;
        assert_eq!(words(&answers), ["ack", "panic"]);
        let answers = run(handler, Arc::new(()), records(&["a", "x"]), Order::Kept).await;
        assert_eq!(words(&answers), ["hold", "hold"]);
    }

    #[tokio::test]
    async fn in_order_what_is_answered_for_each_counts_save_a_second_that_asks_again() {
        let handler = async |_: Vec<Text>| {
            let busy = || Err(ProcessError::transient("busy"));
            vec![
                busy(),
                Ok(Outcome::Ack),
                busy(),
                Err(ProcessError::poison("no")),
            ]
        };
        let all = records(&["a", "b", "c", "d", "e"]);
        let answers = run(handler, Arc::new(()), all, Order::Kept).await;
        let expected = ["transient", "ack", "hold", "poison", "hold"];
        assert_eq!(words(&answers), expected);
    }
}
