//! Checks which layer may be outside which, and describes a stack. Pure.

use std::fmt::Write;
use std::time::Duration;

use super::profile::{Kind, Profile};

/// Returns the defect in the order of layers, outermost first, with the remedy. `None` if the order
/// is right.
pub(crate) fn defect(profiles: &[Profile]) -> Option<String> {
    for (at, outer) in profiles.iter().enumerate() {
        for inner in profiles.iter().skip(at + 1) {
            let (out, inn) = (outer.kind, inner.kind);
            let single = matches!(out, Kind::DeadLetter | Kind::DelayedRetry | Kind::Retry);
            if out == inn && single {
                return Some(format!("there are two {out} layers; keep the inner one"));
            }
            if is_wrong(outer, inner) {
                let why = reason(out, inn);
                return Some(format!(
                    "the {out} layer stands outside the {inn} layer: {why}; put {out} inside {inn}"
                ));
            }
        }
    }
    None
}

/// Returns the first topic name of a layer that no cluster can have, as an error text.
pub(crate) fn targets_defect(profiles: &[Profile]) -> Option<String> {
    profiles.iter().find_map(|profile| {
        let mut targets = profile.writes.iter();
        let defect = targets.find_map(milena_core::WriteTarget::defect)?;
        Some(format!(
            "the {} layer writes to a topic with an invalid name: {defect}",
            profile.kind
        ))
    })
}

fn is_wrong(outer: &Profile, inner: &Profile) -> bool {
    let (out, inn) = (outer.kind, inner.kind);
    // A class from the table must be known to every layer that decides by it.
    if out == Kind::Classify {
        return matches!(
            inn,
            Kind::DeadLetter
                | Kind::DelayedRetry
                | Kind::Retry
                | Kind::CircuitBreaker
                | Kind::Concurrency
        );
    }
    if outer.asks_for_dead_letters && inn == Kind::DeadLetter {
        return true;
    }
    out.has_place() && inn.has_place() && out > inn
}

fn reason(outer: Kind, inner: Kind) -> &'static str {
    match (outer, inner) {
        (Kind::Recovery, Kind::DeadLetter) => "a panic would not become a dead letter",
        (Kind::Recovery, Kind::Retry) => "a panic would not be tried again",
        (Kind::Recovery, _) => "a panic would pass it unseen",
        (Kind::Classify, _) => "it would see errors before they have their class",
        (Kind::Expiry, _) => "no layer would write its dead letters",
        (Kind::DelayedRetry, _) => {
            "the first failure would become a dead letter, and no record would reach the retry topics"
        }
        (Kind::Dedup, Kind::DeadLetter) => {
            "while its store cannot be asked, nothing would hold the dead letter back"
        }
        (Kind::Dedup, Kind::DelayedRetry) => {
            "a record that was sent to a retry topic would look like one that is done"
        }
        (Kind::Retry, Kind::DeadLetter) => {
            "the first failure would become a dead letter, and no record would be retried"
        }
        (Kind::Retry, Kind::DelayedRetry) => {
            "the first failure would go to a retry topic, and no record would be retried in place"
        }
        (Kind::Retry, Kind::Dedup) => "the store would be asked again for each attempt",
        (Kind::Emit, Kind::Retry) => "the records of failed attempts would be sent too",
        (Kind::Emit, _) => "it would send the handler's records for a record that is not done",
        (Kind::CircuitBreaker, Kind::Retry) => {
            "it would count a record's attempts as one, and a record would use up its attempts against a dependency that is down"
        }
        (Kind::CircuitBreaker, Kind::Emit) => {
            "a broker that does not answer would count against the dependency"
        }
        (Kind::CircuitBreaker, Kind::DeadLetter | Kind::DelayedRetry) => {
            "a record that was written to another topic would look like a success to it"
        }
        (Kind::RateLimit, Kind::Retry) => "only the first attempt would spend a token",
        (Kind::RateLimit, Kind::CircuitBreaker) => {
            "it would keep a token while the breaker is open"
        }
        (Kind::Concurrency, Kind::Retry) => {
            "a record would keep its permit through the waits between its attempts"
        }
        (Kind::Concurrency, Kind::CircuitBreaker) => {
            "it would keep a permit while the breaker is open, and hold back other routes"
        }
        (Kind::Concurrency, Kind::RateLimit) => "it would keep a permit while it waits for a token",
        (Kind::Timeout, Kind::CircuitBreaker) => "the breaker would never see a timeout",
        (Kind::Timeout, Kind::Concurrency) => "the limit would never see a timeout",
        (Kind::Timeout, Kind::Retry) => {
            "it would end the waits between attempts; limit them with the retry layer's `max_elapsed`"
        }
        (Kind::Timeout, Kind::Emit) => "it would end the sending of the handler's records",
        (Kind::Timeout, Kind::DeadLetter | Kind::DelayedRetry) => {
            "it would end the writing of failed records"
        }
        _ => "it belongs inside",
    }
}

/// Returns notes on facts that are correct but may surprise people.
fn notes(profiles: &[Profile]) -> Vec<&str> {
    let has = |kind| profiles.iter().any(|profile| profile.kind == kind);
    let mut notes = Vec::new();
    if has(Kind::DeadLetter) && !has(Kind::Retry) && !has(Kind::DelayedRetry) {
        notes.push("without a retry layer, a record that fails once becomes a dead letter");
    }
    if has(Kind::DelayedRetry) && !has(Kind::DeadLetter) {
        notes.push(
            "without a dead letter layer, a record that fails after the last retry topic stops its lane",
        );
    }
    if profiles.iter().any(|profile| profile.asks_for_dead_letters) && !has(Kind::DeadLetter) {
        notes.push("without a dead letter layer, an expired record stops its lane");
    }
    if has(Kind::Batch) {
        notes.push(
            "with order by partition, a record of a batch also waits for retried records before it",
        );
    }
    if has(Kind::Fault) {
        notes.push("a fault layer fails records on purpose");
    }
    notes.extend(
        profiles
            .iter()
            .flat_map(|profile| &profile.notes)
            .map(|note| &**note),
    );
    let counted = profiles.iter().any(|profile| profile.records_attempts);
    if has(Kind::Retry) && !counted {
        notes.push(
            "without a metrics layer inside the retry layer, metrics count a record's attempts as one, waits included",
        );
    }
    if !profiles.iter().any(|profile| profile.retries) {
        notes.push("without a retry layer, the consumer tries a record as often as its `max_attempts` says");
    }
    notes
}

/// Describes the layers, outermost first, and the longest time that a record may take. `handler`
/// names the innermost part.
pub(crate) fn explain(profiles: &[Profile], handler: &str) -> String {
    let mut text = String::new();
    let width = profiles
        .iter()
        .map(|profile| profile.kind.to_string().len())
        .max();
    let width = width.unwrap_or(0).max("handler".len());
    for (depth, profile) in profiles.iter().enumerate() {
        let _ = writeln!(
            text,
            "{:>2}  {:<width$}  {}",
            depth + 1,
            profile.kind.to_string(),
            profile.text
        );
    }
    let batch = profiles.iter().any(|profile| profile.kind == Kind::Batch);
    let handler = match (handler, batch) {
        ("", false) => "takes each record",
        ("", true) => "takes the records of a batch",
        (name, _) => name,
    };
    let number = profiles.len() + 1;
    let _ = writeln!(text, "{number:>2}  {:<width$}  {handler}", "handler");
    match worst_case(profiles) {
        Some(time) => {
            let _ = write!(text, "worst case per record: {time:?}");
            let rounds: usize = profiles.iter().map(|profile| profile.rounds).sum();
            if rounds > 0 {
                let _ = write!(text, " each time that it is read, {} in all", rounds + 1);
            }
        }
        None => {
            text.push_str("worst case per record: no limit, since no timeout bounds an attempt");
        }
    }
    if profiles.iter().any(|profile| !profile.gates.is_empty()) {
        text.push_str(", and the time that a closed gate holds it back");
    }
    for note in notes(profiles) {
        let _ = write!(text, "\nnote: {note}");
    }
    text
}

/// Returns the longest time that a record may take. `None` if nothing limits it.
fn worst_case(profiles: &[Profile]) -> Option<Duration> {
    profiles
        .iter()
        .rev()
        .fold(None, |inside: Option<Duration>, profile| {
            let limited = match (inside, profile.longest) {
                (Some(inside), Some(longest)) => Some(inside.min(longest)),
                (inside, longest) => inside.or(longest),
            };
            limited.map(|time| {
                let all = time
                    .saturating_mul(profile.attempts)
                    .saturating_add(profile.waits);
                // No attempt begins later than `last_begins`. The last one may take its whole time
                // from then on.
                let last = profile.last_begins.map(|at| at.saturating_add(time));
                last.map_or(all, |last| all.min(last))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(kinds: &[Kind]) -> Vec<Profile> {
        kinds.iter().map(|kind| Profile::new(*kind, "")).collect()
    }

    #[test]
    fn the_default_order_is_right_with_logging_and_others_anywhere() {
        let right = [
            Kind::Log,
            Kind::DeadLetter,
            Kind::Other,
            Kind::Retry,
            Kind::Log,
            Kind::CircuitBreaker,
            Kind::CircuitBreaker,
            Kind::Timeout,
            Kind::Recovery,
        ];
        assert_eq!(defect(&stack(&right)), None);
        assert_eq!(defect(&[]), None);
    }

    #[test]
    fn any_two_in_the_wrong_order_are_named_with_a_reason_and_a_remedy() {
        let placed = [
            Kind::DeadLetter,
            Kind::DelayedRetry,
            Kind::Dedup,
            Kind::Retry,
            Kind::Emit,
            Kind::CircuitBreaker,
            Kind::RateLimit,
            Kind::Concurrency,
            Kind::Timeout,
            Kind::Recovery,
        ];
        for (at, inner) in placed.iter().enumerate() {
            for outer in placed.iter().skip(at + 1) {
                let text =
                    defect(&stack(&[*outer, Kind::Log, *inner])).expect("the order is wrong");
                assert!(
                    text.contains(&format!("put {outer} inside {inner}")),
                    "{text}"
                );
            }
        }
        assert!(defect(&stack(&[Kind::Retry, Kind::Retry])).is_some());
    }

    #[test]
    fn a_class_is_given_inside_of_whatever_asks_for_it() {
        assert!(defect(&stack(&[Kind::Classify, Kind::Retry])).is_some());
        assert!(defect(&stack(&[Kind::Retry, Kind::Classify, Kind::Recovery])).is_none());
        assert!(defect(&stack(&[Kind::Retry, Kind::Recovery, Kind::Classify])).is_none());
    }

    #[test]
    fn what_is_right_and_may_surprise_is_said() {
        let text = explain(&stack(&[Kind::DeadLetter, Kind::Recovery]), "");
        assert!(text.contains("note: without a retry layer"), "{text}");
        let text = explain(
            &[
                Profile::new(Kind::DeadLetter, ""),
                Profile::new(Kind::Retry, "").retries(),
            ],
            "",
        );
        assert!(!text.contains("without a retry layer"), "{text}");
        assert!(text.contains("note: without a metrics layer"), "{text}");
    }

    #[test]
    fn the_worst_case_is_every_attempt_to_its_limit_and_every_wait() {
        let seconds = Duration::from_secs;
        let profiles = [
            Profile::new(Kind::Retry, "").repeats(3, seconds(4)),
            Profile::new(Kind::Timeout, "").limits(seconds(10)),
        ];
        assert_eq!(worst_case(&profiles), Some(seconds(34)));
        assert_eq!(worst_case(&profiles[..1]), None);
        assert!(explain(&profiles, "").contains("worst case per record: 34s"));
        let profiles = [
            Profile::new(Kind::Retry, "")
                .repeats(3, seconds(4))
                .begins_within(seconds(5)),
            Profile::new(Kind::Timeout, "").limits(seconds(10)),
        ];
        assert_eq!(worst_case(&profiles), Some(seconds(15)));
    }
}
