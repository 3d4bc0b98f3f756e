//! What was judged: each check, and what it makes of the whole.

use milena_core::Timestamp;
use serde::{Serialize, Serializer};

use crate::words::{list, rfc3339};

/// How a check, or the whole, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// All is well.
    Ok,
    /// Something is wrong that may pass, or that holds up a part.
    Degraded,
    /// It does not work.
    Failing,
}

/// Where the program is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// No broker has answered yet, or a consumer was no member of its group yet.
    Starting,
    /// It works, or should.
    Running,
    /// It is shutting down.
    Stopping,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// What is looked at.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// Why, in words; for one that is well, what was seen.
    pub reason: String,
    /// Since when its state is this.
    #[serde(serialize_with = "as_rfc3339")]
    pub since: Timestamp,
}

/// All checks, and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The worst of the checks.
    pub state: State,
    /// Where the program is in its life.
    pub phase: Phase,
    /// Whether it makes sense to let it go on: `false` says that a restart would help.
    pub live: bool,
    /// Whether work should be given to it.
    pub ready: bool,
    /// Whether it has started: a broker has answered, and each consumer that was started has been a member of its group. A rebalance
    /// does not undo it; a consumer that is started later does, until it is a member.
    pub started: bool,
    /// The groups whose consumers here were not all members yet.
    pub waits_for: Vec<String>,
    /// The checks.
    pub checks: Vec<Check>,
}

impl Report {
    /// The check of that name.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// Why it is not well: `name: reason` of each check that is not.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let ill = self.checks.iter().filter(|check| check.state != State::Ok);
        ill.map(|check| format!("{}: {}", check.name, check.reason))
            .collect()
    }

    /// Why it is not ready: where it is in its life, and what is not well.
    #[must_use]
    pub fn unready(&self) -> Vec<String> {
        let phase = match self.phase {
            Phase::Running => None,
            Phase::Stopping => Some("it is shutting down".to_owned()),
            Phase::Starting if self.waits_for.is_empty() => Some("it is starting".to_owned()),
            Phase::Starting => {
                let groups = list(self.waits_for.clone());
                Some(format!("it is starting: no member yet of {groups}"))
            }
        };
        phase.into_iter().chain(self.reasons()).collect()
    }
}

fn as_rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}
