//! What a group member was told beside its timeouts: assignors, pattern, listener, how to end.

use std::fmt;
use std::sync::Arc;

use milena_core::{Error, ErrorKind, Result};

use super::listener::Listener;
use super::protocol::GroupProtocol;
use super::signals::GroupMembershipOperation;
use crate::assignor::{Assignor, RebalanceProtocol, named};
use crate::subscription::Pattern;

/// How a member takes part in its group.
#[derive(Clone, Default)]
pub(crate) struct GroupSettings {
    /// Best first; empty where nothing was said.
    assignors: Vec<Arc<dyn Assignor>>,
    /// The first setting that cannot be; told by `check`.
    /// Why the names of assignors that were given last cannot be used.
    assignors_defect: Option<Error>,
    /// Why the pattern that was given last cannot be used.
    pattern_defect: Option<Error>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) listener: Option<Arc<dyn Listener>>,
    pub(crate) protocol: GroupProtocol,
    pub(crate) remote_assignor: Option<Arc<str>>,
    pub(crate) on_close: GroupMembershipOperation,
    pub(crate) rack: Option<Arc<str>>,
}

impl GroupSettings {
    pub(crate) fn add(&mut self, assignor: Arc<dyn Assignor>) {
        self.assignors.push(assignor);
    }

    /// Offers these of Kafka's assignors in place of those so far.
    pub(crate) fn offer(&mut self, names: impl IntoIterator<Item = impl AsRef<str>>) {
        let found: Result<Vec<_>> = names.into_iter().map(|name| named(name.as_ref())).collect();
        self.assignors_defect = found.as_ref().err().cloned();
        self.assignors = found.unwrap_or_default();
    }

    pub(crate) fn match_topics(&mut self, pattern: &str) {
        match Pattern::new(pattern) {
            Ok(pattern) => {
                self.pattern = Some(pattern);
                self.pattern_defect = None;
            }
            Err(error) => self.pattern_defect = Some(error),
        }
    }

    /// The assignors to offer, best first.
    pub(crate) fn assignors(&self) -> Vec<Arc<dyn Assignor>> {
        if self.assignors.is_empty() {
            return named(DEFAULT).into_iter().collect();
        }
        self.assignors.clone()
    }

    /// Whether the protocol is this member's to choose.
    pub(crate) fn is_auto(&self) -> bool {
        self.protocol == GroupProtocol::Auto && !self.has_assignors()
    }

    /// Whether assignors were named or added, which implies the classic protocol.
    pub(crate) fn has_assignors(&self) -> bool {
        !self.assignors.is_empty()
    }

    /// Whether partitions are kept while the group rebalances: where every assignor allows it.
    pub(crate) fn is_cooperative(&self) -> bool {
        let assignors = self.assignors();
        assignors
            .iter()
            .all(|assignor| assignor.protocol() == RebalanceProtocol::Cooperative)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let assignors = self.assignors();
        assignors.iter().map(|a| a.name().to_owned()).collect()
    }

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

const DEFAULT: &str = "cooperative-sticky";
