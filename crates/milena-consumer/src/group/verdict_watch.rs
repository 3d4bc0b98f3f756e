//! The latest verdict of the coordinator on a membership, and the one way to wait for it.

use tokio::sync::watch;

use crate::group::member::{MembershipStamp, Pulse};

/// The latest verdict of the coordinator on a membership.
///
/// Heartbeats, commits and lookups of committed offsets record it. The group's task acts on it.
#[derive(Debug)]
pub(crate) struct VerdictWatch {
    /// The membership and its verdict. `None` before the first one, and once the group's task has
    /// acted on it.
    latest: watch::Sender<Option<(MembershipStamp, Pulse)>>,
}

impl VerdictWatch {
    /// Returns a watch without a verdict.
    pub(crate) fn new() -> Self {
        Self {
            latest: watch::Sender::new(None),
        }
    }

    /// Records the coordinator's verdict on a membership. A worse verdict replaces a better one,
    /// never the reverse.
    pub(crate) fn record(&self, membership: &MembershipStamp, pulse: Pulse) {
        let rank = gravity(&pulse);
        self.latest.send_if_modified(|latest| {
            let known = match latest {
                Some((of, known)) if of == membership => gravity(known),
                _ => 0,
            };
            if rank <= known {
                return false;
            }
            *latest = Some((membership.clone(), pulse));
            true
        });
    }

    /// Discards the verdict. The next membership may equal the one that it is about, and the
    /// verdict would then be taken for the new membership's.
    pub(crate) fn discard(&self) {
        self.latest.send_replace(None);
    }

    /// Waits for a verdict for which `counts` returns true, and returns it.
    pub(crate) async fn next(&self, counts: impl Fn(&MembershipStamp, &Pulse) -> bool) -> Pulse {
        let mut latest = self.latest.subscribe();
        let counts = |latest: &Option<(MembershipStamp, Pulse)>| {
            latest.as_ref().is_some_and(|(of, pulse)| counts(of, pulse))
        };
        if let Ok(Some((_, pulse))) = latest.wait_for(counts).await.as_deref() {
            return pulse.clone();
        }
        // The channel closes only with the consumer itself.
        std::future::pending().await
    }
}

/// Returns a higher number for a worse verdict. 0 says nothing about the membership.
fn gravity(pulse: &Pulse) -> u8 {
    match pulse {
        Pulse::Alive | Pulse::Unsure { .. } => 0,
        Pulse::Rebalance => 1,
        Pulse::Superseded => 2,
        Pulse::Lost { .. } => 3,
        Pulse::Fail(_) => 4,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_worse_verdict_stays_and_one_on_another_membership_replaces_it() {
        let watch = VerdictWatch::new();
        let member = |generation| MembershipStamp {
            member: "m".into(),
            generation,
        };
        let latest = || watch.next(|_, _| true).now_or_never();
        watch.record(&member(1), Pulse::Alive);
        assert!(latest().is_none(), "it says nothing");
        watch.record(&member(1), Pulse::Lost { forgotten: false });
        watch.record(&member(1), Pulse::Rebalance);
        assert!(matches!(latest(), Some(Pulse::Lost { .. })));
        watch.record(&member(2), Pulse::Rebalance);
        assert!(matches!(latest(), Some(Pulse::Rebalance)));
        let of_one = watch.next(|of, _| *of == member(1)).now_or_never();
        assert!(of_one.is_none());
        watch.discard();
        assert!(latest().is_none());
    }
}
