//! Observers receive each event synchronously, on the task where it happens.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::Event;

/// Receives events. It must return at once, because it runs on the client's own tasks.
///
/// A panic of an observer is caught. The other observers receive it as [`Event::Panicked`], and the
/// observer that panicked still receives later events.
///
/// A closure `Fn(&Event<'_>)` is an observer, too.
pub trait Observer: Send + Sync {
    /// Receives an event.
    fn on(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync> Observer for F {
    fn on(&self, event: &Event<'_>) {
        self(event);
    }
}

/// The observers of a client. It may have none. A clone is cheap.
#[derive(Clone, Default)]
pub struct Observers(Option<Arc<[Arc<dyn Observer>]>>);

impl Observers {
    /// Returns an empty set of observers.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Returns these observers and `observer`.
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

    /// Sends an event to all observers. Without observers, `event` is not called.
    pub fn emit<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if let Some(list) = &self.0 {
            let event = event();
            for observer in list.iter() {
                if let Err(panic) = tell(&**observer, &event) {
                    contain(list, observer, &panic_text(&*panic));
                }
            }
        }
    }

    /// Returns true if there are no observers.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// Calls one observer and catches its panic. Observers run on tasks that hold connections, batches
/// and memberships, and those tasks must not end because of an observer.
fn tell(observer: &dyn Observer, event: &Event<'_>) -> std::thread::Result<()> {
    catch_unwind(AssertUnwindSafe(|| observer.on(event)))
}

/// Reports the panic of one observer to the other observers. The panic hook has printed it already.
#[cold]
fn contain(list: &[Arc<dyn Observer>], panicked: &Arc<dyn Observer>, message: &str) {
    let event = Event::Panicked {
        what: "observer",
        message,
    };
    for other in list.iter().filter(|other| !Arc::ptr_eq(other, panicked)) {
        // A second panic, during this report, is dropped. Reporting it could go on forever.
        let _ = tell(&**other, &event);
    }
}

/// Returns the text of a panic from its payload.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
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

    #[test]
    fn an_observer_that_panics_stops_neither_the_caller_nor_the_others() {
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = told.clone();
        let observers = Observers::none()
            .with(Arc::new(|_: &Event<'_>| panic!("out of paper")))
            .with(Arc::new(move |event: &Event<'_>| {
                let line = match event {
                    Event::Panicked { what, message } => format!("{what}: {message}"),
                    _ => "throttled".to_owned(),
                };
                seen.lock().unwrap().push(line);
            }));
        observers.emit(|| Event::Throttled {
            node: None,
            api: "Fetch",
            wait: std::time::Duration::ZERO,
        });
        assert_eq!(
            *told.lock().unwrap(),
            ["observer: out of paper", "throttled"]
        );
    }
}
