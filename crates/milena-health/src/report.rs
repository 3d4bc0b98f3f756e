//! The report of one look, with each check and the conclusions from all of them.

use milena_core::Timestamp;
use serde::{Serialize, Serializer};

use crate::words::{list, rfc3339};

/// The state of a check, or of all checks together.
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

/// The phase of the program's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// No broker has answered yet, or a consumer was not a member of its group yet.
    Starting,
    /// The program works, or should.
    Running,
    /// The program is shutting down.
    Stopping,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// The name of the check.
    pub name: String,
    /// The state of the check.
    pub state: State,
    /// The reason in words. For a check that is well, the observations.
    pub reason: String,
    /// The time since when the check has this state.
    #[serde(serialize_with = "as_rfc3339")]
    pub since: Timestamp,
}

/// The results of all checks, and the conclusions from them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The worst state of all checks.
    pub state: State,
    /// The phase of the program's life.
    pub phase: Phase,
    /// False if a restart would help.
    pub live: bool,
    /// True if the program should be given work.
    pub ready: bool,
    /// True if a broker has answered, and each consumer that was started has been a member of its
    /// group.
    ///
    /// A rebalance does not make it false again. A consumer that is started later does, until it is
    /// a member.
    pub started: bool,
    /// The groups whose consumers here have not all been members yet.
    pub waits_for: Vec<String>,
    /// The results of the checks.
    pub checks: Vec<Check>,
}

impl Report {
    /// Returns the check of that name, or `None` if it was not reported.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// Returns `name: reason` for each check that is not well.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let ill = self.checks.iter().filter(|check| check.state != State::Ok);
        ill.map(|check| format!("{}: {}", check.name, check.reason))
            .collect()
    }

    /// Returns the reasons that the program is not ready. These are its phase, and each check that
    /// is not well.
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
