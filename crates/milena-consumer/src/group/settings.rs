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
    defect: Option<Error>,
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

    pub(crate) fn add_named(&mut self, name: &str) {
        match named(name) {
            Ok(assignor) => self.assignors.push(assignor),
            Err(error) => self.defect = self.defect.take().or(Some(error)),
        }
    }

    pub(crate) fn match_topics(&mut self, pattern: &str) {
        match Pattern::new(pattern) {
            Ok(pattern) => self.pattern = Some(pattern),
            Err(error) => self.defect = self.defect.take().or(Some(error)),
        }
    }

    /// The assignors to offer, best first.
    pub(crate) fn assignors(&self) -> Vec<Arc<dyn Assignor>> {
        if self.assignors.is_empty() {
            return named(DEFAULT).into_iter().collect();
        }
        self.assignors.clone()
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
        if let Some(error) = &self.defect {
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
