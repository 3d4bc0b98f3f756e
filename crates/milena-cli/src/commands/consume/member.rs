//! A member of a group that commits the records it has shown. It commits about once a second, when
//! partitions go to other members, and at the end.

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

/// A member, with the state of its commits.
pub(super) struct Member {
    /// The consumer. Its rebalances wait for [`attend`](Self::attend).
    pub(super) consumer: Consumer,
    /// Partitions that were assigned or are being taken away. The group's rebalance waits until
    /// each is attended to.
    moves: mpsc::Receiver<Move>,
    /// The offsets that the coordinator has acknowledged since the partition was assigned.
    committed: BTreeMap<TopicPartition, Offset>,
    /// The commit without an answer yet. At most one at a time.
    under_way: Option<UnderWay>,
    /// The time that the last commit began.
    tried: Instant,
    /// The time of the last change of the assignment. `None` until it is a member.
    settled: Option<Instant>,
    /// The time of the last look at other members' commits. `None` before the first.
    looked: Option<Instant>,
    /// The time that the member was made, for the limit on joining.
    opened: Instant,
}

/// A change of the assignment.
pub(super) struct Move {
    /// The partitions that come or go.
    places: Vec<TopicPartition>,
    /// True if the partitions go to other members and can still be committed.
    revoked: bool,
    /// Ends the rebalance's wait for this member.
    done: oneshot::Sender<()>,
}

/// A commit that has no answer yet.
struct UnderWay {
    /// The offsets that it commits.
    offsets: BTreeMap<TopicPartition, Offset>,
    /// The future of the answer.
    answer: std::pin::Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>,
}

impl Member {
    /// Makes a member with `build`, which gets the rebalance listener to use.
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

    /// Waits up to `wait` for the next records, or for news to [attend to](Self::attend) first.
    /// Returns `Idle` if neither comes.
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

    /// Attends to news. Takes in the answer to a commit, or commits partitions that are taken away
    /// and lets the rebalance go on.
    ///
    /// The caller writes all formatted records before this, as far as it can.
    pub(super) async fn attend(&mut self, news: News, sink: &mut Sink) {
        match news {
            News::Committed(answer) => self.answered(&answer),
            News::Moved(moved) => {
                if moved.revoked {
                    // A pending commit holds lower offsets. It must not arrive after the last
                    // commit.
                    self.finish().await;
                    let offsets = self.to_commit(&moved.places, &sink.ledger);
                    if !offsets.is_empty()
                        && let Err(error) = self.consumer.commit_offsets(offsets).await
                    {
                        tracing::warn!(%error, "the shown records are not committed, so another member shows them again");
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

    /// Returns true if it is time to commit.
    pub(super) fn is_due(&self) -> bool {
        self.under_way.is_none() && self.tried.elapsed() >= EVERY
    }

    /// Commits shown records that are not committed yet. Does not wait for the answer.
    pub(super) fn commit(&mut self, ledger: &Ledger) {
        self.tried = Instant::now();
        let offsets = self.to_commit(&self.consumer.assignment(), ledger);
        if offsets.is_empty() {
            return;
        }
        // If a partition was just taken away, this fails. Its move is attended to next.
        if let Ok(pending) = self.consumer.commit_offsets_async(offsets.clone()) {
            let answer = IntoFuture::into_future(pending);
            self.under_way = Some(UnderWay { offsets, answer });
        }
    }

    /// Returns the offsets that are shown and not committed yet.
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

    /// Takes in the answer to the pending commit.
    fn answered(&mut self, answer: &Result<(), Error>) {
        let Some(commit) = self.under_way.take() else {
            return;
        };
        match answer {
            Ok(()) => self.committed.extend(commit.offsets),
            Err(error) => tracing::warn!(%error, "the shown records are not committed for now"),
        }
    }

    /// Waits for the answer to the pending commit.
    async fn finish(&mut self) {
        if let Some(commit) = &mut self.under_way {
            let answer = (&mut commit.answer).await;
            self.answered(&answer);
        }
    }

    /// Returns true if everything is read up to the ends, by this member or by others. If the other
    /// members do not read their rest in time, says so on stderr and also returns true.
    ///
    /// # Errors
    /// If the group was not joined in time.
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
        // Other members may have read the partitions that this one does not own. Their commits show
        // it.
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
                "milena: other members of the group own {left} partitions and have not committed up to their ends, which this command does not wait for"
            );
        }
        Ok(true)
    }

    /// Commits the shown records within `limit`, and leaves the group.
    pub(super) async fn close(mut self, ledger: &Ledger, limit: Duration) -> Result<(), Failure> {
        // From here on no one attends to moves. Closing the channel keeps the leave from waiting
        // for itself.
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
                "the last shown records were not committed within {limit:?}, so the next member shows them again"
            ))),
        }
    }
}

/// The result of a wait for records.
pub(super) enum Event {
    Batch(Box<FetchBatch>),
    News(News),
    Idle,
}

/// News that a member has to attend to.
pub(super) enum News {
    Committed(Result<(), Error>),
    Moved(Move),
}

/// A rebalance listener that reports changes to a [`Member`], and waits until it has attended to
/// them.
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

/// The time between two commits.
const EVERY: Duration = Duration::from_secs(1);
/// The time that the assignment must stay the same before the rest is left to other members. A new
/// member gets its share only once the others have given it up.
const LEFT_AFTER: Duration = Duration::from_secs(5);
/// The time that joining may take. It is longer than a rebalance, whose members may take a minute.
const JOINED_WITHIN: Duration = Duration::from_secs(90);
/// The time that leaving may take. If the coordinator does not get the request, it waits for the
/// session timeout.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);
