//! What a verb over many items answers: a result for each, in the order asked for.

use milena_core::{Error, Result};

/// One result per item, in the order in which the items were given.
///
/// A verb itself fails only where no answer came at all; what a broker said of an item is the item's own result.
#[derive(Clone, Debug)]
#[must_use = "each item has a result of its own"]
pub struct PerItem<K, T>(Vec<(K, Result<T>)>);

impl<K, T> PerItem<K, T> {
    pub(crate) fn new(items: Vec<(K, Result<T>)>) -> Self {
        Self(items)
    }

    /// Items and their results, in the same order; `name` has an error say which item it is about.
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

    /// All values, or the first error.
    ///
    /// # Errors
    /// That of the first item that failed; it names the item.
    pub fn all(self) -> Result<Vec<T>> {
        self.0.into_iter().map(|(_, result)| result).collect()
    }

    /// The items that failed, each with its error.
    pub fn failures(&self) -> impl Iterator<Item = (&K, &Error)> {
        self.0
            .iter()
            .filter_map(|(item, result)| result.as_ref().err().map(|error| (item, error)))
    }

    /// Each item with its result.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Result<T>)> {
        self.0.iter().map(|(item, result)| (item, result))
    }

    /// The result of one item; `None` where it was not asked for.
    pub fn of<Q: ?Sized>(&self, item: &Q) -> Option<&Result<T>>
    where
        K: PartialEq<Q>,
    {
        self.0
            .iter()
            .find(|(key, _)| key == item)
            .map(|(_, result)| result)
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was asked for.
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
