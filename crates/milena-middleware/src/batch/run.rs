//! One batch through its handler: arguments made, the handler called, until each record has its answer.

use std::future::Future;
use std::sync::Arc;

use milena_core::{BatchOutcome, FromRecord, Incoming, IntoBatchOutcome, Outcome, ProcessError};

use super::gather::{Answer, later};

/// Whether records have an order among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// They come from different lanes: one that fails holds no other up.
    Any,
    /// They come from one lane: what fails is to be tried again before those behind it.
    Kept,
}

/// Answers for all records, in their order.
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

/// Once: what comes behind a failure is left for later, unless the handler has answered for it.
async fn run_in_order<H, A, Fut, T>(handler: H, state: &T, records: Vec<Incoming>) -> Vec<Answer>
where
    H: Fn(Vec<A>) -> Fut,
    Fut: Future,
    Fut::Output: IntoBatchOutcome,
    A: FromRecord<T>,
{
    let mut answers: Vec<Option<Answer>> = records.iter().map(|_| None).collect();
    let (arguments, asked) = arguments::<A, T>(state, &records, &mut answers, asks_again).await;
    if !asked.is_empty() {
        let told = handler(arguments).await.into_batch_outcome(asked.len());
        let all_failed = told
            .error
            .as_ref()
            .is_some_and(|error| error.index().is_none());
        let done = told.results.len();
        for (nth, (at, told)) in asked.iter().zip(spread(told, asked.len())).enumerate() {
            // Who of them made all fail is not known: the first of them is tried again alone.
            let blamed = !all_failed || nth <= done;
            if let Some(answer) = answers.get_mut(*at).filter(|_| blamed) {
                *answer = told;
            }
        }
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

/// Until each has an answer of its own.
async fn run_any<H, A, Fut, T>(handler: H, state: &T, records: Vec<Incoming>) -> Vec<Answer>
where
    H: Fn(Vec<A>) -> Fut,
    Fut: Future,
    Fut::Output: IntoBatchOutcome,
    A: FromRecord<T>,
{
    let mut answers: Vec<Option<Answer>> = records.iter().map(|_| None).collect();
    // Ends: each turn answers one record at least.
    loop {
        let (arguments, asked) = arguments::<A, T>(state, &records, &mut answers, |_| false).await;
        if asked.is_empty() {
            return answers.into_iter().flatten().collect();
        }
        let told = handler(arguments).await.into_batch_outcome(asked.len());
        for (at, told) in asked.iter().zip(spread(told, asked.len())) {
            if let Some(answer) = answers.get_mut(*at) {
                *answer = told;
            }
        }
    }
}

/// The arguments of all records that are not answered yet, and which records those are. One that cannot be made answers its record, and
/// ends the list where `ends` says so of that answer.
async fn arguments<A: FromRecord<T>, T>(
    state: &T,
    records: &[Incoming],
    answers: &mut [Option<Answer>],
    ends: fn(&Answer) -> bool,
) -> (Vec<A>, Vec<usize>) {
    let (mut arguments, mut asked) = (Vec::new(), Vec::new());
    for ((at, record), answer) in records.iter().enumerate().zip(answers) {
        if answer.is_some() {
            continue;
        }
        match A::from_record(record, state).await {
            Ok(argument) => {
                arguments.push(argument);
                asked.push(at);
            }
            Err(error) => {
                if ends(answer.insert(Err(error))) {
                    break;
                }
            }
        }
    }
    (arguments, asked)
}

/// One answer for each record; `None` for those that are to be tried again.
fn spread(told: BatchOutcome, count: usize) -> Vec<Option<Answer>> {
    let mut answers: Vec<_> = told.results.into_iter().map(Some).collect();
    let done = answers.len();
    match told.error {
        Some(error) if error.index().is_some() && done < count => {
            answers.push(Some(Err(error.into_error())));
            answers.resize_with(count, || None);
        }
        Some(error) => {
            let error = error.into_error();
            answers.resize_with(count, || Some(Err(copy(&error))));
        }
        None => answers.resize_with(count, || {
            let what = format!("the handler answered for {done} of {count} records of its batch");
            Some(Err(ProcessError::transient(what)))
        }),
    }
    answers
}

/// The same error for another record.
fn copy(error: &ProcessError) -> ProcessError {
    let text = error.chain().into_owned();
    let copy = match error.dependency_name() {
        Some(name) => ProcessError::dependency(name, text).with_class(error.class()),
        None => ProcessError::new(error.class(), text),
    };
    match error.retry_after() {
        Some(wait) => copy.after(wait),
        None => copy,
    }
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
        assert_eq!(
            words(&answers),
            ["ack", "poison", ErrorClass::Transient.name()]
        );
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
    async fn in_order_the_first_alone_is_tried_again_where_all_failed() {
        let handler = async |_: Vec<Text>| Err::<(), _>(ProcessError::dependency("store", "down"));
        let all = records(&["", "b", "c"]);
        let answers = run(handler, Arc::new(()), all, Order::Kept).await;
        assert_eq!(words(&answers), ["poison", "dependency", "hold"]);
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
