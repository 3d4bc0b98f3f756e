//! A list of things that changed, such as partitions, so that a task need not look at all of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// Things in the order in which they changed, each once.
pub(crate) struct Touched<T> {
    /// The things. Weak, so that the list keeps no revoked partition alive.
    list: Mutex<VecDeque<Weak<T>>>,
    /// True once the list is no longer read. Nothing is added then.
    off: AtomicBool,
}

/// A flag of one thing. True while it is in the list.
#[derive(Default)]
pub(crate) struct Mark(AtomicBool);

impl<T> Default for Touched<T> {
    fn default() -> Self {
        Self {
            list: Mutex::default(),
            off: AtomicBool::new(false),
        }
    }
}

impl<T> Touched<T> {
    /// Adds `thing` to the end of the list, unless `mark` says that it is in the list.
    pub(crate) fn add(&self, thing: &Weak<T>, mark: &Mark) {
        if !self.off.load(Ordering::Acquire) && !mark.0.swap(true, Ordering::AcqRel) {
            self.list.lock().push_back(Weak::clone(thing));
        }
    }

    /// Takes the first thing and clears its mark, so that later changes add it again. `mark`
    /// returns its flag for this list.
    pub(crate) fn pop(&self, mark: impl Fn(&T) -> &Mark) -> Option<Arc<T>> {
        loop {
            let first = self.list.lock().pop_front()?;
            if let Some(thing) = first.upgrade() {
                // Cleared before the caller looks at it. A change during that look adds
                // it again.
                mark(&thing).0.store(false, Ordering::Release);
                return Some(thing);
            }
        }
    }

    /// Takes all things and clears their marks.
    pub(crate) fn drain(&self, mark: impl Fn(&T) -> &Mark) -> Vec<Arc<T>> {
        let all = std::mem::take(&mut *self.list.lock());
        let there = all.iter().filter_map(Weak::upgrade);
        there
            .inspect(|thing| mark(thing).0.store(false, Ordering::Release))
            .collect()
    }

    /// Empties the list and turns it off for good.
    pub(crate) fn turn_off(&self) {
        self.off.store(true, Ordering::Release);
        self.list.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Thing(u32, Mark);

    fn thing(number: u32) -> Arc<Thing> {
        Arc::new(Thing(number, Mark::default()))
    }

    #[test]
    fn a_thing_is_listed_once_until_it_is_taken_and_one_that_is_gone_is_left_out() {
        let (list, one, two) = (Touched::default(), thing(1), thing(2));
        for each in [&one, &two, &one] {
            list.add(&Arc::downgrade(each), &each.1);
        }
        drop(two);
        assert_eq!(list.pop(|thing| &thing.1).map(|thing| thing.0), Some(1));
        assert!(list.pop(|thing| &thing.1).is_none());
        list.add(&Arc::downgrade(&one), &one.1);
        assert_eq!(list.drain(|thing| &thing.1).len(), 1);
    }

    #[test]
    fn a_list_that_is_turned_off_takes_nothing_more() {
        let (list, one) = (Touched::default(), thing(1));
        list.add(&Arc::downgrade(&one), &one.1);
        list.turn_off();
        list.add(&Arc::downgrade(&one), &one.1);
        assert!(list.pop(|thing| &thing.1).is_none());
    }
}
