//! Values of any type that travel with a record through its layers.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

/// A map from a type to one value of that type.
///
/// An empty map allocates nothing. A clone shares the values until one of the two maps is changed.
#[derive(Clone, Default)]
pub struct Extensions(Option<Arc<Vec<Slot>>>);

type Slot = (TypeId, Arc<dyn Any + Send + Sync>);

impl Extensions {
    /// Creates an empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Inserts a value. Replaces an earlier value of its type.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.insert_shared(Arc::new(value));
    }

    /// Inserts a value that is shared already. Replaces an earlier value of its type.
    pub fn insert_shared<T: Send + Sync + 'static>(&mut self, value: Arc<T>) {
        let id = TypeId::of::<T>();
        let slots = Arc::make_mut(self.0.get_or_insert_default());
        match slots.iter_mut().find(|(known, _)| *known == id) {
            Some((_, slot)) => *slot = value,
            None => slots.push((id, value)),
        }
    }

    /// Returns the value of this type.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.slot::<T>()?.downcast_ref()
    }

    /// Returns the value of this type as a shared pointer.
    #[must_use]
    pub fn shared<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(self.slot::<T>()?).downcast().ok()
    }

    /// Removes the value of this type and returns it.
    pub fn remove<T: Send + Sync + 'static>(&mut self) -> Option<Arc<T>> {
        self.slot::<T>()?;
        let slots = Arc::make_mut(self.0.as_mut()?);
        let id = TypeId::of::<T>();
        let at = slots.iter().position(|(known, _)| *known == id)?;
        slots.swap_remove(at).1.downcast().ok()
    }

    fn slot<T: 'static>(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        let id = TypeId::of::<T>();
        let mut slots = self.0.as_deref()?.iter();
        slots
            .find(|(known, _)| *known == id)
            .map(|(_, value)| value)
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions")
            .field("len", &self.0.as_ref().map_or(0, |slots| slots.len()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_one_value() {
        let mut map = Extensions::new();
        map.insert(1u8);
        map.insert("text");
        map.insert(2u8);
        assert_eq!(map.get::<u8>(), Some(&2));
        assert_eq!(map.remove::<u8>().as_deref(), Some(&2));
        assert_eq!(map.get::<u8>(), None);
        assert_eq!(map.shared::<&str>().as_deref(), Some(&"text"));
    }

    #[test]
    fn a_change_of_a_clone_is_its_own() {
        let mut map = Extensions::new();
        map.insert(1u8);
        let mut clone = map.clone();
        clone.insert(2u8);
        clone.insert("text");
        assert_eq!(map.get::<u8>(), Some(&1));
        assert_eq!(map.get::<&str>(), None);
        let again = map.clone();
        assert_eq!(map.remove::<u8>().as_deref(), Some(&1));
        assert_eq!((again.get::<u8>(), clone.get::<u8>()), (Some(&1), Some(&2)));
    }
}
