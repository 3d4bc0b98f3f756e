//! Heartbeats of the consumer protocol (KIP-848). By this one request a member joins, receives its
//! assignment, confirms it and leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorCode, ErrorKind, Event, Result};
use milena_pool::Role;
use milena_protocol::ApiKey;
use milena_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use milena_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::epoch::{Refusal, refusal};
use super::requests::{millis, text};
use crate::core::Core;
use crate::group::classic_heartbeat::{Awake, Silence};
use crate::group::member::{MembershipStamp, Pulse};
use crate::group::standing::Standing;
use crate::group::subscription::Subscription;
use crate::group::verdict_watch::VerdictWatch;
use crate::passing::passes;

/// Partition numbers by topic id.
pub(super) type Places = BTreeMap<Uuid, BTreeSet<i32>>;

/// The coordinator's answers, for the task that takes and gives back partitions. Written by
/// [`Beats`].
#[derive(Clone, Debug, Default)]
pub(super) struct CoordinatorNews {
    /// Number of times that the membership was lost. When it rises, all partitions of the previous
    /// life must be released.
    pub(super) life: u64,
    /// Partitions that the coordinator assigned. `None` until it assigned some in this life.
    pub(super) target: Option<Places>,
    /// Error that ends the member. `None` while it can go on.
    pub(super) failed: Option<Error>,
}

/// Partitions that this member owns, for the next heartbeat to report. Written by the task that
/// takes and gives them back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owned {
    /// Life of the membership that owns them. It lags behind [`CoordinatorNews::life`] until the
    /// lost partitions are released.
    pub(super) life: u64,
    /// The owned partitions.
    pub(super) places: Places,
}

/// Contents of a heartbeat that may change, namely the subscription and the owned partitions.
type Said = (Subscription, Places);

/// The task that sends heartbeats. It alone knows the member epoch.
pub(super) struct Beats {
    /// State that all tasks of the consumer share.
    core: Arc<Core>,
    /// Member id, chosen by this client. It never changes.
    member: Arc<str>,
    /// The coordinator's answers, for the other task.
    told: watch::Sender<CoordinatorNews>,
    /// Owned partitions, from the other task.
    owned: watch::Receiver<Owned>,
    /// Number of times that the membership was lost.
    life: u64,
    /// Member epoch of the last answer. 0 means that the next heartbeat joins.
    epoch: i32,
    /// Contents of the last heartbeat that the coordinator accepted. `None` if the next one must
    /// carry everything.
    sent: Option<Said>,
    /// True once a pattern was accepted. A later subscription without one must then send an empty
    /// pattern to remove it.
    patterned: bool,
    /// Time between heartbeats. The coordinator sets it with each answer.
    interval: Duration,
    /// Detects that this process was suspended for a whole session.
    awake: Awake,
    /// Logs for how long the coordinator has not answered.
    silence: Silence,
    /// Time of the first refusal because another consumer holds the instance id. `None` since the
    /// last success.
    held_since: Option<Instant>,
    /// Number of heartbeats in a row that failed. It sets the backoff.
    failures: u32,
    /// Time of the heartbeat by which this member joined. `None` after a lost membership.
    joined_at: Option<Instant>,
    /// Number of memberships in a row that were lost within a session timeout.
    losses: u32,
    /// Earliest time of the next join. A coordinator may accept a member and drop it at once, and
    /// the pause grows with each such loss.
    rests_until: Instant,
}

impl Beats {
    pub(super) fn new(
        core: Arc<Core>,
        member: Arc<str>,
        told: watch::Sender<CoordinatorNews>,
        owned: watch::Receiver<Owned>,
    ) -> Self {
        Self {
            awake: Awake::new(&core.settings),
            silence: Silence::default(),
            held_since: None,
            interval: core.settings.heartbeat_interval,
            core,
            member,
            told,
            owned,
            life: 0,
            epoch: 0,
            sent: None,
            patterned: false,
            failures: 0,
            joined_at: None,
            losses: 0,
            rests_until: Instant::now(),
        }
    }

    /// Sends heartbeats until the task is dropped or the member cannot go on.
    pub(super) async fn run(mut self) {
        let core = Arc::clone(&self.core);
        let mut subscription = core.group.subscription.subscribe();
        let mut next = Instant::now();
        loop {
            // After a failure only the timer sends the next heartbeat, so that a change does not
            // skip the backoff. That heartbeat carries every change. A lost membership still waits
            // for its partitions to be released.
            let calm = self.failures == 0;
            let waits = self.owned.borrow().life != self.life;
            tokio::select! {
                () = sleep_until(next) => {}
                Ok(()) = self.owned.changed(), if calm || waits => {}
                Ok(()) = subscription.changed(), if calm => {}
                word = word(&core.membership, &core.verdict) => match word {
                    Pulse::Fail(error) => return self.fail(error),
                    _ => self.lose(),
                },
            }
            if self.owned.borrow_and_update().life != self.life {
                // A member joins with no partitions. Wait until the other task has released those
                // of the lost membership.
                next = Instant::now() + self.interval;
                continue;
            }
            if self.epoch == 0 && Instant::now() < self.rests_until {
                next = self.rests_until;
                continue;
            }
            if self.awake.stood_still(&core.settings, self.interval) && self.epoch > 0 {
                self.lose();
                continue;
            }
            let started = Instant::now();
            let said = (
                core.group.subscription.borrow().clone(),
                self.owned.borrow().places.clone(),
            );
            let answer = self.beat(&said).await;
            core.reports.emit(|group| Event::Heartbeat {
                group,
                elapsed: started.elapsed(),
                error: answer.as_ref().err(),
            });
            next = match answer {
                Ok(answer) => match ErrorCode::from_wire(answer.error_code) {
                    None => self.take(started, said, &answer),
                    Some(code) => {
                        let refusal = refusal(code, answer.error_message.as_deref());
                        match self.refused(refusal) {
                            Ok(next) => next,
                            Err(error) => return self.fail(error),
                        }
                    }
                },
                Err(error) if passes(&error) => {
                    self.silence.goes_on(&core.settings, &error);
                    core.coordinator.forget();
                    self.again()
                }
                Err(error) => return self.fail(error),
            };
        }
    }

    /// Sends one heartbeat and awaits its answer, for a third of the session timeout at most.
    async fn beat(&self, said: &Said) -> Result<ConsumerGroupHeartbeatResponse> {
        let limit = self.core.settings.session_timeout / 3;
        let asking = async {
            let connection = self.core.coordinator.connection(Role::Heartbeat).await?;
            let version = connection
                .versions()
                .negotiate(ApiKey::ConsumerGroupHeartbeat)?;
            let request = self.request(said, version)?;
            let limit = limit.min(connection.request_timeout());
            connection.call_version(&request, version, limit).await
        };
        timeout(limit, asking).await.map_err(|_| {
            let what = "the coordinator did not answer a heartbeat in time";
            Error::new(ErrorKind::Timeout, what).api("ConsumerGroupHeartbeat")
        })?
    }

    /// Builds the request. It carries everything if the coordinator may not know it, and only
    /// changes otherwise.
    fn request(&self, said: &Said, version: i16) -> Result<ConsumerGroupHeartbeatRequest> {
        let settings = &self.core.settings;
        let (wanted, owned) = said;
        let mut request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(text(settings.group_name()).into())
            .with_member_id(text(&self.member))
            .with_member_epoch(self.epoch)
            .with_instance_id(settings.instance.as_deref().map(text));
        let known = self.sent.as_ref().filter(|_| self.epoch > 0);
        if known.is_none() {
            request.rebalance_timeout_ms = millis(settings.rebalance_timeout);
            request.rack_id = settings.membership.rack.as_deref().map(text);
            request.server_assignor = settings.membership.remote_assignor.as_deref().map(text);
        }
        if known.is_none_or(|(before, _)| before != wanted) {
            let names = wanted.topics.iter().map(|name| text(name).into());
            request.subscribed_topic_names = Some(names.collect());
            let pattern = wanted.pattern.as_ref().map(|pattern| text(pattern.text()));
            if pattern.is_some() && version < PATTERNS_FROM {
                let what = "the broker does not support topic patterns under the consumer protocol: name the topics, or use the classic protocol";
                return Err(Error::new(ErrorKind::Unsupported, what).setting("group.protocol"));
            }
            // An empty pattern removes the one sent before.
            let took_back = self.patterned.then(|| text(""));
            request.subscribed_topic_regex = pattern.or(took_back);
        }
        if known.is_none_or(|(_, before)| before != owned) {
            request.topic_partitions = Some(wire(owned));
        }
        Ok(request)
    }

    /// Applies the answer to a heartbeat that succeeded. Returns the time of the next heartbeat.
    fn take(
        &mut self,
        started: Instant,
        said: Said,
        answer: &ConsumerGroupHeartbeatResponse,
    ) -> Instant {
        self.patterned |= said.0.pattern.is_some();
        self.sent = Some(said);
        self.silence.over(&self.core.settings);
        self.held_since = None;
        self.failures = 0;
        if self.epoch == 0 && answer.member_epoch > 0 {
            self.joined_at = Some(started);
            let (group, member) = (self.core.settings.group_name(), &*self.member);
            let epoch = answer.member_epoch;
            tracing::info!(group, member, epoch, "joined; the coordinator assigns");
        }
        self.epoch = answer.member_epoch;
        let interval = u64::try_from(answer.heartbeat_interval_ms).unwrap_or(0);
        self.interval = Duration::from_millis(interval).max(SHORTEST);
        let membership = Some(MembershipStamp {
            member: Arc::clone(&self.member),
            generation: self.epoch,
        });
        // A heartbeat without a new epoch must not wake the tasks that watch the membership.
        self.core.membership.send_if_modified(|known| {
            let news = *known != membership;
            *known = membership;
            news
        });
        if let Some(assignment) = &answer.assignment {
            let mut target = Places::new();
            for topic in &assignment.topic_partitions {
                let partitions = target.entry(topic.topic_id).or_default();
                partitions.extend(topic.partitions.iter().copied());
            }
            self.told.send_modify(|told| told.target = Some(target));
        }
        started + self.interval
    }

    /// Applies a refusal. Returns the time of the next heartbeat, or an error if the member cannot
    /// go on.
    fn refused(&mut self, refusal: Refusal) -> Result<Instant> {
        match refusal {
            Refusal::Rejoin => {
                self.lose();
                return Ok(self.again());
            }
            Refusal::Relocate => self.core.coordinator.forget(),
            Refusal::Later => {}
            Refusal::Held(error) => {
                // A static member that crashed releases its instance id when its session ends. An
                // id that is held for longer belongs to a consumer that is alive.
                let limit = self.core.settings.session_timeout + self.interval;
                match self.held_since {
                    Some(since) if since.elapsed() > limit => return Err(error),
                    Some(_) => {}
                    None => {
                        self.held_since = Some(Instant::now());
                        let group = self.core.settings.group_name();
                        let instance = self.core.settings.instance.as_deref();
                        tracing::warn!(
                            group,
                            instance,
                            "another consumer holds this group.instance.id: nothing is read until it leaves or its session ends"
                        );
                    }
                }
            }
            Refusal::Fail(error) => return Err(error),
        }
        Ok(self.again())
    }

    /// Returns the time of the next attempt, which carries everything again.
    fn again(&mut self) -> Instant {
        self.sent = None;
        let wait = self.core.cluster.backoff().delay(self.failures);
        self.failures = self.failures.saturating_add(1);
        Instant::now() + wait.min(self.interval)
    }

    /// Ends the membership. The other task releases all partitions once it sees the new life.
    fn lose(&mut self) {
        let lasted = self.joined_at.take().map(|since| since.elapsed());
        let soon = lasted.is_none_or(|lasted| lasted < self.core.settings.session_timeout);
        self.losses = if soon { self.losses + 1 } else { 1 };
        self.rests_until = Instant::now() + self.core.cluster.backoff().delay(self.losses - 1);
        self.life += 1;
        self.epoch = 0;
        self.sent = None;
        self.core.membership.send_replace(None);
        // Discard the verdict on the lost membership. The member may join again with the same
        // epoch, and the verdict would then be taken for the new membership's.
        self.core.verdict.discard();
        let life = self.life;
        self.told.send_modify(|told| {
            told.life = life;
            told.target = None;
        });
    }

    /// Reports an error that ends the member to the other task.
    fn fail(&self, error: Error) {
        self.told.send_modify(|told| told.failed = Some(error));
    }
}

/// Waits for a verdict that ends this membership. The answer to a commit may bring one.
async fn word(membership: &Standing, verdict: &VerdictWatch) -> Pulse {
    let ends = |of: &MembershipStamp, pulse: &Pulse| {
        pulse.is_end() && membership.borrow().as_ref() == Some(of)
    };
    verdict.next(ends).await
}

/// Converts owned partitions for the request. Topics without partitions are left out.
fn wire(places: &Places) -> Vec<TopicPartitions> {
    let topics = places
        .iter()
        .filter(|(_, partitions)| !partitions.is_empty());
    topics
        .map(|(id, partitions)| {
            TopicPartitions::default()
                .with_topic_id(*id)
                .with_partitions(partitions.iter().copied().collect())
        })
        .collect()
}

/// First version of the request that carries patterns.
const PATTERNS_FROM: i16 = 1;
/// Shortest interval between heartbeats. A broker that asks for less is not followed.
const SHORTEST: Duration = Duration::from_millis(10);
