//! Fetch sessions. A broker remembers the partitions that a client fetches, so that the client
//! sends only changes (KIP-227).

use std::collections::{HashMap, HashSet};

use milena_core::ErrorCode;
use uuid::Uuid;

/// A partition that a client fetches, with the offset. The name is empty if the client uses topic
/// ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The topic's name. Empty if the client uses topic ids.
    pub(crate) topic: String,
    /// The topic's id. Nil if the client uses names.
    pub(crate) topic_id: Uuid,
    /// The partition's number.
    pub(crate) partition: i32,
    /// The offset to fetch from.
    pub(crate) offset: i64,
    /// The largest size of its records, in bytes.
    pub(crate) max_bytes: i32,
    /// The leader epoch that the client knows, -1 for none.
    pub(crate) leader_epoch: i32,
    /// The epoch of the last record that the client fetched, -1 for none.
    pub(crate) last_fetched_epoch: i32,
}

impl Wanted {
    fn place(&self) -> Place {
        Place {
            topic: self.topic.clone(),
            topic_id: self.topic_id,
            partition: self.partition,
        }
    }

    fn is_at(&self, place: &Place) -> bool {
        self.partition == place.partition
            && self.topic_id == place.topic_id
            && self.topic == place.topic
    }
}

/// The name of a partition in a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The topic's name. Empty if the client uses topic ids.
    pub(crate) topic: String,
    /// The topic's id. Nil if the client uses names.
    pub(crate) topic_id: Uuid,
    /// The partition's number.
    pub(crate) partition: i32,
}

/// The offsets that a client last got for a partition. An incremental answer repeats them only if
/// they change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The first offset that not every replica in sync has.
    pub(crate) high_watermark: i64,
    /// The first offset of an open transaction.
    pub(crate) last_stable_offset: i64,
    /// The first offset of the log.
    pub(crate) log_start: i64,
}

/// The session part of a Fetch request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// The session id, 0 for none.
    pub(crate) id: i32,
    /// The session epoch. 0 opens a session, and -1 closes it.
    pub(crate) epoch: i32,
    /// True if the request names topics by id.
    pub(crate) by_id: bool,
    /// The partitions to add or to change.
    pub(crate) wanted: Vec<Wanted>,
    /// The partitions to remove.
    pub(crate) forgotten: Vec<Place>,
}

/// The partitions to fetch for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The session id for the answer, 0 for none.
    pub(crate) id: i32,
    /// True if partitions without news are left out of the answer.
    pub(crate) incremental: bool,
    /// The partitions, in the order to read them.
    pub(crate) wanted: Vec<Wanted>,
}

/// The fetch sessions of one broker.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// The largest number of sessions.
    max: usize,
    /// The id of the next session. After the largest one comes 1.
    next_id: i32,
    /// The sessions by id. At most `max`.
    by_id: HashMap<i32, Session>,
}

/// The state of one session.
#[derive(Debug)]
struct Session {
    /// The epoch that its next request must have.
    next_epoch: i32,
    /// True if its requests name topics by id. Fixed when it opens.
    by_id: bool,
    /// The partitions that the client fetches, in the order they were added.
    partitions: Vec<Wanted>,
    /// The offsets that the client last got. An error removes a partition's entry, so that its next
    /// answer is news.
    told: HashMap<Place, Told>,
    /// The place in `partitions` at which the next fetch begins, so that a busy partition does not
    /// starve those after it.
    begin: usize,
}

impl Sessions {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            next_id: 1,
            by_id: HashMap::new(),
        }
    }

    /// Closes all sessions.
    pub(crate) fn clear(&mut self) {
        self.by_id.clear();
    }

    /// Returns the number of sessions.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Returns the partitions of a session.
    pub(crate) fn wanted(&self, id: i32) -> impl Iterator<Item = &Wanted> {
        self.by_id
            .get(&id)
            .into_iter()
            .flat_map(|session| &session.partitions)
    }

    /// Opens, continues or closes the session of a request.
    pub(crate) fn enter(&mut self, asked: Asked) -> Result<Plan, ErrorCode> {
        let sessionless = |wanted| Plan {
            id: 0,
            incremental: false,
            wanted,
        };
        match asked.epoch {
            FINAL_EPOCH => {
                self.by_id.remove(&asked.id);
                Ok(sessionless(asked.wanted))
            }
            INITIAL_EPOCH => {
                self.by_id.remove(&asked.id);
                if self.by_id.len() >= self.max {
                    return Ok(sessionless(asked.wanted));
                }
                let id = self.next_id;
                self.next_id = next(id);
                let session = Session {
                    next_epoch: 1,
                    by_id: asked.by_id,
                    partitions: asked.wanted.clone(),
                    told: HashMap::new(),
                    begin: 0,
                };
                self.by_id.insert(id, session);
                Ok(Plan {
                    id,
                    incremental: false,
                    wanted: asked.wanted,
                })
            }
            epoch => {
                let session = self
                    .by_id
                    .get_mut(&asked.id)
                    .ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
                if session.next_epoch != epoch {
                    return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
                }
                if session.by_id != asked.by_id {
                    return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
                }
                session.next_epoch = next(epoch);
                session.update(asked.wanted, &asked.forgotten);
                Ok(Plan {
                    id: asked.id,
                    incremental: true,
                    wanted: session.in_turn(),
                })
            }
        }
    }

    /// Notes the offsets that a client is about to get for a partition, or `None` for an error.
    /// Returns true if they are news.
    pub(crate) fn tell(&mut self, id: i32, place: &Place, told: Option<Told>) -> bool {
        let Some(session) = self.by_id.get_mut(&id) else {
            return true;
        };
        match told {
            Some(told) => session.told.insert(place.clone(), told) != Some(told),
            None => {
                session.told.remove(place);
                true
            }
        }
    }

    /// Lets the next fetch of the session begin after this partition, which gave records now.
    pub(crate) fn gave(&mut self, id: i32, place: &Place) {
        if let Some(session) = self.by_id.get_mut(&id)
            && let Some(at) = session
                .partitions
                .iter()
                .position(|wanted| wanted.is_at(place))
        {
            session.begin = at + 1;
        }
    }
}

impl Session {
    /// Takes in the changes of a request.
    fn update(&mut self, wanted: Vec<Wanted>, forgotten: &[Place]) {
        if !forgotten.is_empty() {
            let gone: HashSet<&Place> = forgotten.iter().collect();
            self.partitions
                .retain(|wanted| !gone.contains(&wanted.place()));
            self.told.retain(|place, _| !gone.contains(place));
        }
        if wanted.is_empty() {
            return;
        }
        let known = self.partitions.iter().enumerate();
        let places: HashMap<Place, usize> = known.map(|(at, known)| (known.place(), at)).collect();
        for new in wanted {
            let at = places.get(&new.place());
            match at.and_then(|at| self.partitions.get_mut(*at)) {
                Some(known) => *known = new,
                None => self.partitions.push(new),
            }
        }
    }

    /// Returns the partitions, beginning after the one that last gave records.
    fn in_turn(&self) -> Vec<Wanted> {
        let count = self.partitions.len().max(1);
        let turned = self.partitions.iter().cycle().skip(self.begin % count);
        turned.take(self.partitions.len()).cloned().collect()
    }
}

/// Returns the next id or epoch. After the largest one comes 1.
fn next(number: i32) -> i32 {
    if number == i32::MAX { 1 } else { number + 1 }
}

const INITIAL_EPOCH: i32 = 0;
const FINAL_EPOCH: i32 = -1;

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(partition: i32, offset: i64) -> Wanted {
        Wanted {
            topic: "orders".to_owned(),
            topic_id: Uuid::nil(),
            partition,
            offset,
            max_bytes: 100,
            leader_epoch: -1,
            last_fetched_epoch: -1,
        }
    }

    fn place(partition: i32) -> Place {
        Place {
            topic: "orders".to_owned(),
            topic_id: Uuid::nil(),
            partition,
        }
    }

    fn asked(id: i32, epoch: i32, wanted: Vec<Wanted>) -> Asked {
        Asked {
            id,
            epoch,
            wanted,
            ..Asked::default()
        }
    }

    const TOLD: Told = Told {
        high_watermark: 5,
        last_stable_offset: 5,
        log_start: 0,
    };

    #[test]
    fn an_incremental_fetch_keeps_what_it_does_not_mention() {
        let mut sessions = Sessions::new(10);
        let full = sessions
            .enter(asked(0, 0, vec![wanted(0, 1), wanted(1, 1)]))
            .unwrap();
        assert!(!full.incremental && full.id > 0);
        let next = sessions
            .enter(asked(full.id, 1, vec![wanted(1, 9)]))
            .unwrap();
        assert!(next.incremental);
        assert_eq!(next.wanted, [wanted(0, 1), wanted(1, 9)]);
        let mut forget = asked(full.id, 2, vec![]);
        forget.forgotten = vec![place(0)];
        assert_eq!(sessions.enter(forget).unwrap().wanted, [wanted(1, 9)]);
    }

    #[test]
    fn wrong_ids_and_epochs_are_refused() {
        let mut sessions = Sessions::new(10);
        let id = sessions.enter(asked(0, 0, vec![wanted(0, 0)])).unwrap().id;
        assert_eq!(
            sessions.enter(asked(id, 2, vec![])),
            Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH)
        );
        assert_eq!(
            sessions.enter(asked(id + 1, 1, vec![])),
            Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)
        );
        sessions.enter(asked(id, -1, vec![])).unwrap();
        assert_eq!(
            sessions.enter(asked(id, 1, vec![])),
            Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)
        );
    }

    #[test]
    fn a_partition_is_told_again_only_with_news() {
        let mut sessions = Sessions::new(10);
        let id = sessions.enter(asked(0, 0, vec![wanted(0, 0)])).unwrap().id;
        assert!(sessions.tell(id, &place(0), Some(TOLD)));
        assert!(!sessions.tell(id, &place(0), Some(TOLD)));
        assert!(
            sessions.tell(id, &place(0), None),
            "an error is always told"
        );
        assert!(sessions.tell(id, &place(0), Some(TOLD)));
    }

    #[test]
    fn the_partition_that_gave_records_goes_to_the_end() {
        let mut sessions = Sessions::new(10);
        let id = sessions
            .enter(asked(0, 0, vec![wanted(0, 0), wanted(1, 0), wanted(2, 0)]))
            .unwrap()
            .id;
        sessions.gave(id, &place(0));
        let plan = sessions.enter(asked(id, 1, vec![])).unwrap();
        let order: Vec<i32> = plan.wanted.iter().map(|wanted| wanted.partition).collect();
        assert_eq!(order, [1, 2, 0]);
    }

    #[test]
    fn without_room_a_fetch_has_no_session() {
        let mut sessions = Sessions::new(0);
        assert_eq!(
            sessions.enter(asked(0, 0, vec![wanted(0, 0)])).unwrap().id,
            0
        );
    }
}
