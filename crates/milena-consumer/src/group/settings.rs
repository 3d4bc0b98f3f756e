//! Settings of a group member other than its timeouts, such as assignors, topic pattern and
//! listener.

use std::fmt;
use std::sync::Arc;

use milena_assignor::{Assignor, RebalanceProtocol, built_in, named};
use milena_core::{
    AssignorName, Error, ErrorKind, GroupMembershipOperation, GroupProtocol, Result,
};

use super::listener::Listener;
use crate::group::subscription::Pattern;

/// Settings that say how a member takes part in its group.
#[derive(Clone, Default)]
pub(crate) struct GroupSettings {
    /// Assignors to offer, best first. Empty means the default.
    assignors: Vec<Arc<dyn Assignor>>,
    /// Error of the last call that named assignors. `None` if it was valid. `check` returns it.
    assignors_defect: Option<Error>,
    /// Error of the last call that gave a pattern. `None` if it was valid. `check` returns it.
    pattern_defect: Option<Error>,
    /// The last valid topic pattern. `None` if topics are given by name only.
    pub(crate) pattern: Option<Pattern>,
    /// The user's rebalance listener. `None` if there is none.
    pub(crate) listener: Option<Arc<dyn Listener>>,
    /// `group.protocol`.
    pub(crate) protocol: GroupProtocol,
    /// `group.remote.assignor`. `None` lets the coordinator choose.
    pub(crate) remote_assignor: Option<Arc<str>>,
    /// The end of the membership when the consumer closes.
    pub(crate) on_close: GroupMembershipOperation,
    /// `client.rack`. `None` if it is not set.
    pub(crate) rack: Option<Arc<str>>,
}

impl GroupSettings {
    /// Adds an assignor after those given so far.
    pub(crate) fn add(&mut self, assignor: Arc<dyn Assignor>) {
        self.assignors.push(assignor);
    }

    /// Replaces the assignors by these of Kafka's.
    pub(crate) fn offer(&mut self, names: impl IntoIterator<Item = impl AsRef<str>>) {
        let found: Result<Vec<_>> = names.into_iter().map(|name| named(name.as_ref())).collect();
        self.assignors_defect = found.as_ref().err().cloned();
        self.assignors = found.unwrap_or_default();
    }

    /// Sets the topic pattern. An invalid one is reported by `check`.
    pub(crate) fn match_topics(&mut self, pattern: &str) {
        match Pattern::new(pattern) {
            Ok(pattern) => {
                self.pattern = Some(pattern);
                self.pattern_defect = None;
            }
            Err(error) => self.pattern_defect = Some(error),
        }
    }

    /// Returns the assignors to offer, best first.
    pub(crate) fn assignors(&self) -> Vec<Arc<dyn Assignor>> {
        if self.assignors.is_empty() {
            return vec![built_in(AssignorName::default())];
        }
        self.assignors.clone()
    }

    /// Returns true if this member chooses its protocol.
    pub(crate) fn is_auto(&self) -> bool {
        self.protocol == GroupProtocol::Auto && !self.has_assignors()
    }

    /// Returns true if assignors were named or added, which selects the classic protocol.
    pub(crate) fn has_assignors(&self) -> bool {
        !self.assignors.is_empty()
    }

    /// Returns true if partitions are kept while the group rebalances. Every assignor must allow
    /// it.
    pub(crate) fn is_cooperative(&self) -> bool {
        let assignors = self.assignors();
        assignors
            .iter()
            .all(|assignor| assignor.protocol() == RebalanceProtocol::Cooperative)
    }

    /// Returns the names of the assignors to offer, best first.
    pub(crate) fn names(&self) -> Vec<String> {
        let assignors = self.assignors();
        assignors.iter().map(|a| a.name().to_owned()).collect()
    }

    /// Checks the settings together.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] that names the setting.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(error) = self
            .assignors_defect
            .as_ref()
            .or(self.pattern_defect.as_ref())
        {
            return Err(error.clone());
        }
        if self.protocol == GroupProtocol::Consumer && self.has_assignors() {
            let what = format!(
                "group.protocol is `consumer`, under which the coordinator assigns, and partition.assignment.strategy is `{}`: \
                 leave one out, or choose the coordinator's assignor with `group_remote_assignor`",
                self.names().join("`, `")
            );
            return Err(Error::new(ErrorKind::Config, what).setting("group.protocol"));
        }
        let names = self.names();
        for (at, name) in names.iter().enumerate() {
            let what = match name {
                empty if empty.is_empty() => "an assignor has no name".to_owned(),
                twice if names.iter().skip(at + 1).any(|other| other == twice) => {
                    format!("the assignor `{twice}` is given twice")
                }
                _ => continue,
            };
            return Err(
                Error::new(ErrorKind::Config, what).setting("partition.assignment.strategy")
            );
        }
        Ok(())
    }
}

impl fmt::Debug for GroupSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupSettings")
            .field("assignors", &self.names())
            .finish_non_exhaustive()
    }
}
