//! Observers: told of each event, synchronously, on the task where it happens.

use std::fmt;
use std::sync::Arc;

use crate::Event;

/// Is told what happens. Must return at once: it runs on the client's own tasks.
///
/// A closure `Fn(&Event<'_>)` is an observer too.
pub trait Observer: Send + Sync {
    /// Takes note of an event.
    fn on(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync> Observer for F {
    fn on(&self, event: &Event<'_>) {
        self(event);
    }
}

/// The observers of a client: none, one or several. A clone is cheap.
#[derive(Clone, Default)]
pub struct Observers(Option<Arc<[Arc<dyn Observer>]>>);

impl Observers {
    /// Nobody.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// These and `observer`.
    #[must_use]
    pub fn with(&self, observer: Arc<dyn Observer>) -> Self {
        let all = self
            .0
            .iter()
            .flat_map(|list| list.iter().cloned())
            .chain([observer])
            .collect();
        Self(Some(all))
    }

    /// Tells them all; with nobody there, `event` is not even made.
    pub fn emit<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if let Some(list) = &self.0 {
            let event = event();
            for observer in list.iter() {
                observer.on(&event);
            }
        }
    }

    /// Whether nobody listens.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.as_ref().map_or(0, |list| list.len());
        f.debug_tuple("Observers").field(&count).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_observer_is_told_and_nobody_costs_nothing() {
        Observers::none().emit(|| panic!("made although nobody listens"));
        let told = Arc::new(AtomicUsize::new(0));
        let count = || {
            let told = told.clone();
            Arc::new(move |_: &Event<'_>| {
                told.fetch_add(1, Ordering::Relaxed);
            })
        };
        let observers = Observers::none().with(count()).with(count());
        observers.emit(|| Event::Throttled {
            node: None,
            api: "Fetch",
            wait: std::time::Duration::ZERO,
        });
        assert_eq!(told.load(Ordering::Relaxed), 2);
    }
}
