//! Labels with a bound: children by label value, made when a value is first seen; those past the bound share one.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::RwLock;
use prometheus::{IntCounter, Opts};

/// What stands for all values past the bound.
pub(crate) const OVERFLOW: &str = "_overflow";

/// The bound, and the count of what went past it.
#[derive(Clone)]
pub(crate) struct Limit {
    pub(crate) values: usize,
    /// Times that a value was counted with others since there were too many.
    pub(crate) overflow: IntCounter,
    /// Labels that each metric has with the same value.
    pub(crate) constant: HashMap<String, String>,
}

impl Limit {
    /// What makes a metric of that name, with the constant labels.
    pub(crate) fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help).const_labels(self.constant.clone())
    }
}

/// Children of metrics, resolved once per value.
pub(crate) struct Keyed<T> {
    known: RwLock<HashMap<Box<str>, T>>,
    limit: Limit,
    make: Box<dyn Fn(&str) -> T + Send + Sync>,
}

impl<T: Clone> Keyed<T> {
    pub(crate) fn new(limit: &Limit, make: impl Fn(&str) -> T + Send + Sync + 'static) -> Self {
        Self {
            known: RwLock::default(),
            limit: limit.clone(),
            make: Box::new(make),
        }
    }

    /// The children for `value`; they are handles, a clone of which counts for the same.
    pub(crate) fn of(&self, value: &str) -> T {
        if let Some(known) = self.known.read().get(value) {
            return known.clone();
        }
        let mut known = self.known.write();
        let value = admit(&known, value, &self.limit);
        known
            .entry(value.into())
            .or_insert_with(|| (self.make)(value))
            .clone()
    }
}

fn admit<'a, T>(known: &HashMap<Box<str>, T>, value: &'a str, limit: &Limit) -> &'a str {
    if known.contains_key(value) || known.len() < limit.values {
        return value;
    }
    limit.overflow.inc();
    OVERFLOW
}

/// The values that a label took, where children are not kept: for figures that are drawn anew at each scrape.
pub(crate) struct Seen<K>(HashMap<K, ()>, Limit);

impl<K: Hash + Eq> Seen<K> {
    pub(crate) fn new(limit: &Limit) -> Self {
        Self(HashMap::new(), limit.clone())
    }

    /// Whether `value` may have a child of its own.
    pub(crate) fn admit(&mut self, value: K) -> bool {
        if self.0.contains_key(&value) {
            return true;
        }
        if self.0.len() >= self.1.values {
            self.1.overflow.inc();
            return false;
        }
        self.0.insert(value, ());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_past_the_bound_share_one_child() {
        let limit = Limit {
            values: 2,
            overflow: IntCounter::new("overflow", "overflow").unwrap(),
            constant: HashMap::new(),
        };
        let keyed = Keyed::new(&limit, str::to_owned);
        assert_eq!(keyed.of("a"), "a");
        assert_eq!(keyed.of("b"), "b");
        assert_eq!(keyed.of("c"), OVERFLOW);
        assert_eq!(keyed.of("d"), OVERFLOW);
        assert_eq!(keyed.of("a"), "a", "a known one stays");
        assert_eq!(limit.overflow.get(), 2);
    }
}
