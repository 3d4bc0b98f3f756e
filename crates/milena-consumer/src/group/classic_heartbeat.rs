//! Heartbeats of the classic protocol. They have a task and a connection of their own, so that they
//! never wait for a handler, a fetch or a join.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorCode, Event, Result, Timestamp};
use milena_pool::Role;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::HeartbeatRequest;
use tokio::time::{Instant, sleep_until, timeout};

use crate::coordinator::Coordinator;
use crate::core::Core;
use crate::group::member::{MembershipStamp, Pulse, pulse};
use crate::group::verdict_watch::VerdictWatch;
use crate::passing::passes;
use crate::reports::Reports;
use crate::settings::Settings;

/// Sends heartbeats for each membership, from its start until the next one. Passes the
/// coordinator's verdicts on.
pub(crate) async fn run(core: Arc<Core>) {
    let beats = ClassicBeats {
        coordinator: &core.coordinator,
        verdict: &core.verdict,
        reports: &core.reports,
        settings: &core.settings,
    };
    let mut memberships = core.membership.subscribe();
    loop {
        let current = match memberships.wait_for(Option::is_some).await {
            Ok(current) => current.clone(),
            Err(_) => return,
        };
        let Some(current) = current else { continue };
        let mut other = core.membership.subscribe();
        tokio::select! {
            () = beats.beat(&current) => {}
            _ = other.wait_for(|now| now.as_ref() != Some(&current)) => {}
        }
    }
}

/// The parts of a consumer that heartbeats of the classic protocol use.
struct ClassicBeats<'a> {
    /// The coordinator to send them to. Forgotten if it does not answer.
    coordinator: &'a Coordinator,
    /// The coordinator's verdict on the membership, for the group's task. Written here.
    verdict: &'a VerdictWatch,
    /// The reports of each heartbeat.
    reports: &'a Reports,
    /// The interval and the session timeout, and the identity of the member.
    settings: &'a Settings,
}

impl ClassicBeats<'_> {
    /// Sends heartbeats for one membership until the future is dropped.
    async fn beat(&self, membership: &MembershipStamp) {
        let interval = self.settings.heartbeat_interval;
        let mut awake = Awake::new(self.settings);
        let mut silence = Silence::default();
        let mut next = Instant::now() + interval;
        let mut failures = 0;
        loop {
            sleep_until(next).await;
            if awake.stood_still(self.settings, interval) {
                self.verdict
                    .record(membership, Pulse::Lost { forgotten: false });
                next = Instant::now() + interval;
                continue;
            }
            let started = Instant::now();
            let answer = self.once(membership).await;
            self.reports.emit(|group| Event::Heartbeat {
                group,
                elapsed: started.elapsed(),
                error: answer.as_ref().err(),
            });
            let word = match &answer {
                Ok(()) => Pulse::Alive,
                Err(error) => match error.code() {
                    Some(code) => pulse(Some(code)),
                    None if passes(error) => Pulse::Unsure { relocate: true },
                    None => Pulse::Fail(error.clone()),
                },
            };
            next = started + interval;
            match word {
                Pulse::Alive | Pulse::Rebalance => {
                    silence.over(self.settings);
                    failures = 0;
                }
                Pulse::Unsure { relocate } => {
                    if relocate {
                        self.coordinator.forget();
                    }
                    if let Err(error) = &answer {
                        silence.goes_on(self.settings, error);
                    }
                    next =
                        Instant::now() + self.coordinator.backoff().delay(failures).min(interval);
                    failures += 1;
                }
                Pulse::Superseded | Pulse::Lost { .. } | Pulse::Fail(_) => {}
            }
            self.verdict.record(membership, word);
        }
    }

    /// Sends one heartbeat and waits for its answer, for at most a third of the session timeout.
    async fn once(&self, membership: &MembershipStamp) -> Result<()> {
        // Gives up early, so that a lost heartbeat can be sent again within the session.
        let limit = self.settings.session_timeout / 3;
        let asking = async {
            let connection = self.coordinator.connection(Role::Heartbeat).await?;
            let limit = limit.min(connection.request_timeout());
            connection.call_with(&self.request(membership), limit).await
        };
        let answer = timeout(limit, asking).await.map_err(|_| {
            let what = "the coordinator did not answer a heartbeat in time";
            Error::new(milena_core::ErrorKind::Timeout, what).api("Heartbeat")
        })??;
        match ErrorCode::from_wire(answer.error_code) {
            None => Ok(()),
            Some(code) => Err(Error::broker(code)
                .api("Heartbeat")
                .group(self.settings.group_name())),
        }
    }

    fn request(&self, membership: &MembershipStamp) -> HeartbeatRequest {
        let group = StrBytes::from_string(self.settings.group_name().to_owned());
        let instance = self.settings.instance.as_deref();
        HeartbeatRequest::default()
            .with_group_id(group.into())
            .with_generation_id(membership.generation)
            .with_member_id(StrBytes::from_string(membership.member.to_string()))
            .with_group_instance_id(instance.map(|id| StrBytes::from_string(id.to_owned())))
    }
}

/// Detects that this member did not run, for example on a suspended machine or in a stopped
/// process.
///
/// After a whole session without heartbeats, other members have its partitions. It therefore gives
/// them up before it contacts the coordinator. Otherwise it would process the records that it has
/// at the same time as their new owners.
///
/// A coordinator that does not answer is a different case. No member gets partitions while the
/// coordinator is away, and a new coordinator restarts all sessions. A member that gave up its
/// partitions then would leave them without a reader for no reason. It keeps them until the
/// coordinator says that other members have them.
#[derive(Debug)]
pub(crate) struct Awake {
    /// The time of the last check, by the clock of timers.
    at: Instant,
    /// The time of the last check, by the wall clock. The clock of timers stops while the machine
    /// is suspended, and the wall clock does not.
    wall: Timestamp,
}

impl Awake {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            at: Instant::now(),
            wall: settings.now(),
        }
    }

    /// Returns true if a whole session has passed since the last call, by either clock. The task
    /// that sends heartbeats calls it before each one.
    pub(crate) fn stood_still(&mut self, settings: &Settings, interval: Duration) -> bool {
        let now = Self::new(settings);
        let passed = now.at.duration_since(self.at);
        let passed = passed.max(now.wall.since(self.wall));
        *self = now;
        let still = passed >= settings.session_timeout.max(interval * 3);
        if still {
            let group = settings.group_name();
            tracing::warn!(
                group,
                ?passed,
                "this member did not run for a whole session: it gives up its partitions and joins again"
            );
        }
        still
    }
}

/// The time for which the coordinator has not answered. It is only logged.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    /// The time of the first heartbeat without an answer. `None` while heartbeats are answered.
    since: Option<Instant>,
    /// True once the silence was logged as a warning.
    told: bool,
}

impl Silence {
    /// Notes a heartbeat without a useful answer. Warns once the silence has lasted a heartbeat
    /// interval.
    pub(crate) fn goes_on(&mut self, settings: &Settings, error: &Error) {
        let group = settings.group_name();
        tracing::debug!(group, %error, "a heartbeat got no answer");
        let silent = self.since.get_or_insert_with(Instant::now).elapsed();
        if !self.told && silent >= settings.heartbeat_interval {
            self.told = true;
            tracing::warn!(
                group, %error, ?silent,
                "the group's coordinator does not answer: partitions are kept until it says that other members have them"
            );
        }
    }

    /// Notes that a heartbeat was answered. Logs the end of a silence that was logged.
    pub(crate) fn over(&mut self, settings: &Settings) {
        let since = self.since.take();
        if let Some(since) = since.filter(|_| self.told) {
            self.told = false;
            let (group, silent) = (settings.group_name(), since.elapsed());
            tracing::info!(group, ?silent, "the group's coordinator answers again");
        }
    }
}
