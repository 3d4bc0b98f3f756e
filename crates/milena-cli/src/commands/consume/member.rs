//! A member of a group that commits what was shown: about each second, when partitions go to others, and at the end.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use milena::consumer::{FetchBatch, RebalanceListener};
use milena::{Consumer, Error, Offset, TopicPartition};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::ends::Ends;
use super::ledger::Ledger;
use super::sink::Sink;
use crate::failure::Failure;

/// A member, and what of its partitions is committed.
pub(super) struct Member {
    pub(super) consumer: Consumer,
    /// The partitions that come and go; each is answered before the group goes on.
    moves: mpsc::Receiver<Move>,
    /// What the coordinator has acknowledged since the partition came.
    committed: BTreeMap<TopicPartition, Offset>,
    under_way: Option<UnderWay>,
    /// When the last commit began.
    tried: Instant,
    /// When partitions came or went last; `None` before this is a member.
    settled: Option<Instant>,
    /// When the other members' commits were looked at last.
    looked: Option<Instant>,
    opened: Instant,
}

/// Partitions that come or go.
pub(super) struct Move {
    places: Vec<TopicPartition>,
    /// They go to others in good order: what was shown of them can be committed.
    revoked: bool,
    done: oneshot::Sender<()>,
}

/// A commit that has no answer yet.
struct UnderWay {
    offsets: BTreeMap<TopicPartition, Offset>,
    answer: std::pin::Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>,
}

impl Member {
    /// A member made by `build`, which gets the listener that it needs.
    pub(super) fn new(
        build: impl FnOnce(Listener) -> Result<Consumer, Error>,
    ) -> Result<Self, Error> {
        let (tell, moves) = mpsc::channel(1);
        Ok(Self {
            consumer: build(Listener(tell))?,
            moves,
            committed: BTreeMap::new(),
            under_way: None,
            tried: Instant::now(),
            settled: None,
            looked: None,
            opened: Instant::now(),
        })
    }

    /// The next records, or what is to be [attended to](Self::attend) first; nothing where none of it comes within `wait`.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub(super) async fn next(&mut self, wait: Duration) -> Result<Event, Error> {
        let Self {
            consumer,
            moves,
            under_way,
            ..
        } = self;
        let answer = async {
            match under_way {
                Some(commit) => (&mut commit.answer).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = answer => Ok(Event::News(News::Committed(answer))),
            moved = moves.recv() => match moved {
                Some(moved) => Ok(Event::News(News::Moved(moved))),
                None => Ok(Event::Idle),
            },
            given = timeout(wait, consumer.recv_batch()) => match given {
                Ok(batch) => Ok(Event::Batch(Box::new(batch?))),
                Err(_) => Ok(Event::Idle),
            },
        }
    }

    /// Takes note of an answer; commits what was shown of partitions that go, and lets the group go on.
    ///
    /// All that was formatted has to be written before, as far as it can be.
    pub(super) async fn attend(&mut self, news: News, sink: &mut Sink) {
        match news {
            News::Committed(answer) => self.answered(&answer),
            News::Moved(moved) => {
                if moved.revoked {
                    // One that is under way must not overtake the last word.
                    self.finish().await;
                    let offsets = self.to_commit(&moved.places, &sink.ledger);
                    if !offsets.is_empty()
                        && let Err(error) = self.consumer.commit_offsets(offsets).await
                    {
                        tracing::warn!(%error, "what was shown is not committed and is shown again by others");
                    }
                }
                sink.ledger.forget(&moved.places);
                if let Some(ends) = &mut sink.ends {
                    ends.reopen(&moved.places);
                }
                for place in &moved.places {
                    self.committed.remove(place);
                }
                self.settled = Some(Instant::now());
                let _ = moved.done.send(());
            }
        }
    }

    /// Whether it is time to commit.
    pub(super) fn is_due(&self) -> bool {
        self.under_way.is_none() && self.tried.elapsed() >= EVERY
    }

    /// Commits what was shown and is not committed yet, and does not wait for the answer.
    pub(super) fn commit(&mut self, ledger: &Ledger) {
        self.tried = Instant::now();
        let offsets = self.to_commit(&self.consumer.assignment(), ledger);
        if offsets.is_empty() {
            return;
        }
        // A partition that just went away is told by its move.
        if let Ok(pending) = self.consumer.commit_offsets_async(offsets.clone()) {
            let answer = IntoFuture::into_future(pending);
            self.under_way = Some(UnderWay { offsets, answer });
        }
    }

    fn to_commit(
        &self,
        places: &[TopicPartition],
        ledger: &Ledger,
    ) -> BTreeMap<TopicPartition, Offset> {
        let new = places.iter().filter_map(|place| {
            let position = self.consumer.position(place).ok()?;
            let shown = ledger.shown(place, position)?;
            (self.committed.get(place) != Some(&shown)).then(|| (place.clone(), shown))
        });
        new.collect()
    }

    fn answered(&mut self, answer: &Result<(), Error>) {
        let Some(commit) = self.under_way.take() else {
            return;
        };
        match answer {
            Ok(()) => self.committed.extend(commit.offsets),
            Err(error) => tracing::warn!(%error, "what was shown is not committed for now"),
        }
    }

    /// Waits for the commit that is under way.
    async fn finish(&mut self) {
        if let Some(commit) = &mut self.under_way {
            let answer = (&mut commit.answer).await;
            self.answered(&answer);
        }
    }

    /// Looks whether all is read up to the ends, by this member or by others; what others have not read yet is left to them, and told.
    ///
    /// # Errors
    /// That the group was not joined in time.
    pub(super) async fn look(&mut self, ends: &mut Ends) -> Result<bool, Failure> {
        let now = Instant::now();
        if self.consumer.group_metadata().generation.is_none() {
            return match self.opened.elapsed() > JOINED_WITHIN {
                true => Err(Failure::unreached(format!(
                    "the group was not joined within {} s",
                    JOINED_WITHIN.as_secs()
                ))),
                false => Ok(false),
            };
        }
        let since = *self.settled.get_or_insert(now);
        let mine = self.consumer.assignment();
        for place in &mine {
            if let Ok(Some(position)) = self.consumer.position(place) {
                ends.reach(place, position);
            }
        }
        let left: Vec<TopicPartition> = ends.left().cloned().collect();
        if left.is_empty() {
            return Ok(true);
        }
        if left.iter().any(|place| mine.contains(place)) {
            return Ok(false);
        }
        if self.looked.is_none_or(|looked| now - looked >= EVERY) {
            self.looked = Some(now);
            let asked = timeout(EVERY, self.consumer.committed(left.clone())).await;
            for (place, committed) in asked.ok().and_then(Result::ok).unwrap_or_default() {
                if let Some(committed) = committed {
                    ends.reach(&place, committed);
                }
            }
        }
        let left = ends.left().count();
        if left > 0 && now - since < LEFT_AFTER {
            return Ok(false);
        }
        if left > 0 {
            let _ = writeln!(
                std::io::stderr(),
                "milena: other members of the group hold {left} partitions and have not committed up to their ends; they are left to them"
            );
        }
        Ok(true)
    }

    /// Commits what was shown within `limit`, and leaves the group.
    pub(super) async fn close(mut self, ledger: &Ledger, limit: Duration) -> Result<(), Failure> {
        // From here on nobody answers moves: leaving must not wait for itself.
        self.moves.close();
        while self.moves.try_recv().is_ok() {}
        let committing = async {
            self.finish().await;
            let offsets = self.to_commit(&self.consumer.assignment(), ledger);
            match offsets.is_empty() {
                true => Ok(()),
                false => self.consumer.commit_offsets(offsets).await,
            }
        };
        let committed = timeout(limit, committing).await;
        let _ = timeout(LEAVE_WITHIN, self.consumer.close()).await;
        match committed {
            Ok(committed) => Ok(committed?),
            Err(_) => Err(Failure::unreached(format!(
                "what was shown last was not committed within {limit:?} and is shown again by the next member"
            ))),
        }
    }
}

/// What comes of waiting for records.
pub(super) enum Event {
    Batch(Box<FetchBatch>),
    News(News),
    Idle,
}

/// What a member has to take note of.
pub(super) enum News {
    Committed(Result<(), Error>),
    Moved(Move),
}

/// Tells a [`Member`] of partitions that come and go, and waits until it has taken note.
pub(super) struct Listener(mpsc::Sender<Move>);

impl Listener {
    async fn tell(&self, places: &[TopicPartition], revoked: bool) {
        let (done, noted) = oneshot::channel();
        let moved = Move {
            places: places.to_vec(),
            revoked,
            done,
        };
        if self.0.send(moved).await.is_ok() {
            let _ = noted.await;
        }
    }
}

impl RebalanceListener for Listener {
    async fn assigned(&self, places: &[TopicPartition]) {
        self.tell(places, false).await;
    }

    async fn revoked(&self, places: &[TopicPartition]) {
        self.tell(places, true).await;
    }

    async fn lost(&self, places: &[TopicPartition]) {
        self.tell(places, false).await;
    }
}

/// How often what was shown is committed.
const EVERY: Duration = Duration::from_secs(1);
/// How long the partitions of this member have to stay the same before others' are left to them: a member that comes gets its share only
/// once the others have let go of it.
const LEFT_AFTER: Duration = Duration::from_secs(5);
/// Longer than a rebalance takes, whose members may take a minute.
const JOINED_WITHIN: Duration = Duration::from_secs(90);
/// How long leaving may take; a coordinator that is not told waits for the session to end.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);
