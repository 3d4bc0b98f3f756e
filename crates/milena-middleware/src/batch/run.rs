//! One batch through its handler: arguments made, the handler called, until each record has its answer.

use std::future::Future;
use std::sync::Arc;

use milena_core::{BatchOutcome, FromRecord, Incoming, IntoBatchOutcome, ProcessError};

use super::gather::Answer;

/// Answers for all records, in their order.
pub(super) async fn run<H, A, Fut, T>(
    handler: H,
    state: Arc<T>,
    records: Vec<Incoming>,
) -> Vec<Answer>
where
    H: Fn(Vec<A>) -> Fut,
    Fut: Future,
    Fut::Output: IntoBatchOutcome,
    A: FromRecord<T>,
{
    let mut answers: Vec<Option<Answer>> = records.iter().map(|_| None).collect();
    // Ends: each turn answers one record at least.
    loop {
        let (mut arguments, mut asked) = (Vec::new(), Vec::new());
        for ((at, record), answer) in records.iter().enumerate().zip(&mut answers) {
            if answer.is_some() {
                continue;
            }
            match A::from_record(record, &state).await {
                Ok(argument) => {
                    arguments.push(argument);
                    asked.push(at);
                }
                Err(error) => *answer = Some(Err(error)),
            }
        }
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
    use milena_core::{BatchError, ConsumerRecord, ErrorClass, Outcome, Text};
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
        let answers = run(handler, Arc::new(()), records(&["a", "", "c"])).await;
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
        let answers = run(handler, Arc::new(()), records(&["a", "x", "b", "x", "c"])).await;
        assert_eq!(
            words(&answers),
            ["ack", "business", "ack", "business", "ack"]
        );
        assert_eq!(*calls.lock(), ["axbxc", "bxc", "c"]);
    }

    #[tokio::test]
    async fn a_plain_error_fails_all_and_missing_answers_are_failures() {
        let handler = async |_: Vec<Text>| Err::<(), _>(ProcessError::dependency("store", "down"));
        let answers = run(handler, Arc::new(()), records(&["a", "b"])).await;
        assert_eq!(words(&answers), ["dependency", "dependency"]);

        let handler = async |_: Vec<Text>| vec![Ok(Outcome::Ack), Err(ProcessError::poison("no"))];
        let answers = run(handler, Arc::new(()), records(&["a", "b", "c"])).await;
        assert_eq!(
            words(&answers),
            ["ack", "poison", ErrorClass::Transient.name()]
        );
    }
}
