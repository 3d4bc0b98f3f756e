//! One commit under way. It is sent under the current membership, and sent again if the membership
//! or the coordinator changes.

use std::time::Duration;

use milena_core::{Error, ErrorCode, Result};
use tokio::sync::{SemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};

use super::answer::Entry;
use super::commits::Commits;
use super::sending::{CommitResult, Sending, late};
use crate::group::member::MembershipStamp;
use crate::group::standing::Standing;

/// The right to commit. Only one commit holds it, so that an older offset never overtakes a newer
/// one.
pub(super) struct Turn<'a> {
    /// Keeps other commits out until it is dropped.
    _permit: SemaphorePermit<'a>,
    /// The sending of the requests.
    sending: Sending<'a>,
    /// Reports newer memberships of this consumer.
    memberships: watch::Receiver<Option<MembershipStamp>>,
    /// MembershipStamp under which this commit is sent. `None` outside the group. It is read before
    /// the offsets are taken, so that offsets of a later membership never go out under an earlier
    /// one.
    used: Option<MembershipStamp>,
}

impl<'a> Turn<'a> {
    /// Waits until no other commit is under way, then reads the membership.
    pub(super) async fn take(
        commits: &'a Commits,
        membership: &Standing,
        sending: Sending<'a>,
        deadline: Instant,
    ) -> Result<Self> {
        let permit = timeout_at(deadline, commits.turn()).await;
        let permit = permit.map_err(|_| late())?.map_err(|_| late())?;
        let mut memberships = membership.subscribe();
        let used = memberships.borrow_and_update().clone();
        Ok(Self {
            _permit: permit,
            sending,
            memberships,
            used,
        })
    }

    /// Sends the offsets, and sends them again whenever the group moves on to a newer epoch or
    /// generation.
    pub(super) async fn commit(&mut self, mut left: Vec<Entry>, deadline: Instant) -> CommitResult {
        loop {
            let told = self.sending.once(left, self.used.clone(), deadline).await;
            let code = told.error.as_ref().and_then(Error::code);
            let passed = matches!(
                code,
                Some(ErrorCode::STALE_MEMBER_EPOCH | ErrorCode::ILLEGAL_GENERATION)
            );
            if !passed || !self.moved(deadline).await {
                return told;
            }
            left = told.left;
            left.extend(told.refused_for_now);
        }
    }

    /// Waits for a newer epoch or generation of the same member, which makes the one of this commit
    /// stale. Returns false if there is none in time.
    async fn moved(&mut self, deadline: Instant) -> bool {
        let used = &self.used;
        let newer = |now: &Option<MembershipStamp>| match (now, used) {
            (Some(now), Some(used)) => now.member == used.member && now != used,
            _ => false,
        };
        let patience = deadline.min(Instant::now() + NEWER);
        let moved = timeout_at(patience, async {
            let now = self.memberships.wait_for(newer).await;
            now.ok().and_then(|now| now.clone())
        });
        match moved.await {
            Ok(Some(now)) => {
                self.used = Some(now);
                true
            }
            Ok(None) | Err(_) => false,
        }
    }
}

/// Longest wait for the newer epoch that made this one stale.
const NEWER: Duration = Duration::from_secs(5);
