//! Which layer may stand outside which, and what a stack says of itself. Pure.

use std::fmt::Write;
use std::time::Duration;

use super::profile::{Kind, Profile};

/// What is wrong with the order of layers, outermost first, with the remedy.
pub(super) fn defect(profiles: &[Profile]) -> Option<String> {
    for (at, outer) in profiles.iter().enumerate() {
        for inner in profiles.iter().skip(at + 1) {
            let (out, inn) = (outer.kind, inner.kind);
            if !out.has_place() || !inn.has_place() {
                continue;
            }
            if out == inn && matches!(out, Kind::DeadLetter | Kind::Retry) {
                return Some(format!("there are two {out} layers; keep the inner one"));
            }
            if out > inn {
                let why = reason(out, inn);
                return Some(format!(
                    "the {out} layer stands outside the {inn} layer: {why}; put {out} inside {inn}"
                ));
            }
        }
    }
    None
}

fn reason(outer: Kind, inner: Kind) -> &'static str {
    match (outer, inner) {
        (Kind::Recovery, Kind::DeadLetter) => "a panic would not become a dead letter",
        (Kind::Recovery, Kind::Retry) => "a panic would not be tried again",
        (Kind::Recovery, _) => "a panic would pass it unseen",
        (Kind::Retry, Kind::DeadLetter) => {
            "the first failure would become a dead letter, and nothing be left to try again"
        }
        (Kind::CircuitBreaker, Kind::Retry) => {
            "it would count a record's attempts as one, and a record would use up its attempts against a dependency that is down"
        }
        (Kind::CircuitBreaker, Kind::DeadLetter) => "a dead letter would look like a success to it",
        (Kind::Timeout, Kind::CircuitBreaker) => "the breaker would never see a timeout",
        (Kind::Timeout, Kind::Retry) => {
            "it would end the waits between attempts; the retry layer's `max_elapsed` bounds the whole"
        }
        (Kind::Timeout, Kind::DeadLetter) => "it would end the writing of a dead letter",
        _ => "it is meant to stand inside",
    }
}

/// The layers, outermost first, and the longest that a record may take.
pub(super) fn explain(profiles: &[Profile]) -> String {
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
    let _ = writeln!(text, "{:>2}  {:<width$}", profiles.len() + 1, "handler");
    match worst_case(profiles) {
        Some(time) => {
            let _ = write!(text, "worst case per record: {time:?}");
        }
        None => {
            text.push_str("worst case per record: no limit, since no timeout bounds an attempt");
        }
    }
    if profiles.iter().any(|profile| !profile.gates.is_empty()) {
        text.push_str(", and the time that a closed gate holds it back");
    }
    text
}

/// The longest that a record may take; `None` without a bound.
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
                time.saturating_mul(profile.attempts)
                    .saturating_add(profile.waits)
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
            Kind::Retry,
            Kind::CircuitBreaker,
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
    fn the_worst_case_is_every_attempt_to_its_limit_and_every_wait() {
        let seconds = Duration::from_secs;
        let profiles = [
            Profile::new(Kind::Retry, "").repeats(3, seconds(4)),
            Profile::new(Kind::Timeout, "").limits(seconds(10)),
        ];
        assert_eq!(worst_case(&profiles), Some(seconds(34)));
        assert_eq!(worst_case(&profiles[..1]), None);
        assert!(explain(&profiles).ends_with("worst case per record: 34s"));
    }
}
