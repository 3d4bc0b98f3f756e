//! The result of a verb over many items: one result per item, in the order of the items.

use milena_core::{Error, Result};

/// One result per item, in the order in which the items were given.
///
/// The verb itself fails only if no answer came at all. A broker's refusal of an item is the result
/// of that item.
#[derive(Clone, Debug)]
#[must_use = "each item has a result of its own"]
pub struct PerItem<K, T>(Vec<(K, Result<T>)>);

impl<K, T> PerItem<K, T> {
    pub(crate) fn new(items: Vec<(K, Result<T>)>) -> Self {
        Self(items)
    }

    /// Pairs items with their results, in the same order. `name` adds the item to an error.
    pub(crate) fn zip(
        items: impl IntoIterator<Item = K>,
        results: impl IntoIterator<Item = Result<T>>,
        name: impl Fn(&K, Error) -> Error,
    ) -> Self {
        let items = items.into_iter().zip(results);
        let named = items.map(|(item, result)| {
            let result = result.map_err(|error| name(&item, error));
            (item, result)
        });
        Self(named.collect())
    }

    /// Returns all values, or the first error.
    ///
    /// # Errors
    /// The error of the first item that failed. It names the item.
    pub fn all(self) -> Result<Vec<T>> {
        self.0.into_iter().map(|(_, result)| result).collect()
    }

    /// Returns the items that failed, each with its error.
    pub fn failures(&self) -> impl Iterator<Item = (&K, &Error)> {
        self.0
            .iter()
            .filter_map(|(item, result)| result.as_ref().err().map(|error| (item, error)))
    }

    /// Returns each item with its result.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Result<T>)> {
        self.0.iter().map(|(item, result)| (item, result))
    }

    /// Returns the result of one item. `None` if the item was not given.
    pub fn of<Q: ?Sized>(&self, item: &Q) -> Option<&Result<T>>
    where
        K: PartialEq<Q>,
    {
        self.0
            .iter()
            .find(|(key, _)| key == item)
            .map(|(_, result)| result)
    }

    /// Returns the number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if no items were given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K, T> IntoIterator for PerItem<K, T> {
    type Item = (K, Result<T>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
