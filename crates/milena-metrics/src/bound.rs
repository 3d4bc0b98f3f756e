//! Labels with a bounded number of values. Each value has its own child of the metric, made when it
//! is first seen. All values past the bound share one child.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::RwLock;
use prometheus::{IntCounter, Opts};

/// The label value that stands for all values past the bound.
pub(crate) const OVERFLOW: &str = "_overflow";

/// The bound on label values, and the count of values that went past it.
#[derive(Clone)]
pub(crate) struct Limit {
    /// The largest number of values of one label.
    pub(crate) values: usize,
    /// `milena_metrics_overflow_total`, which grows each time that a value past the bound is
    /// counted as [`OVERFLOW`].
    pub(crate) overflow: IntCounter,
    /// The labels that every metric has with the same value.
    pub(crate) constant: HashMap<String, String>,
}

impl Limit {
    /// Returns the options of a metric with the constant labels.
    pub(crate) fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help).const_labels(self.constant.clone())
    }
}

/// Children of metrics by label value. Each value is looked up in the registry's vectors once.
pub(crate) struct Keyed<T> {
    /// The children made so far, at most `limit.values` and the one for [`OVERFLOW`].
    known: RwLock<HashMap<Box<str>, T>>,
    /// The bound on values.
    limit: Limit,
    /// The function that makes the children for a value.
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

    /// Returns the children for `value`. They are handles, and a clone counts for the same metric.
    pub(crate) fn of(&self, value: &str) -> T {
        if let Some(known) = self.known.read().get(value) {
            return known.clone();
        }
        // Another thread may have made the children since, which `entry` takes care of.
        let mut known = self.known.write();
        let value = admit(&known, value, &self.limit);
        known
            .entry(value.into())
            .or_insert_with(|| (self.make)(value))
            .clone()
    }
}

/// Returns the value to count `value` under, which is [`OVERFLOW`] past the bound.
fn admit<'a, T>(known: &HashMap<Box<str>, T>, value: &'a str, limit: &Limit) -> &'a str {
    if known.contains_key(value) || known.len() < limit.values {
        return value;
    }
    limit.overflow.inc();
    OVERFLOW
}

/// The label values of one scrape, for gauges that are set anew at each scrape and keep no
/// children.
pub(crate) struct Seen<K>(HashMap<K, ()>, Limit);

impl<K: Hash + Eq> Seen<K> {
    pub(crate) fn new(limit: &Limit) -> Self {
        Self(HashMap::new(), limit.clone())
    }

    /// Returns true if `value` may have a child of its own.
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
