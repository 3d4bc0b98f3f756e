//! The reasons that a command failed, with their exit codes.

use std::error::Error as _;
use std::fmt;
use std::io;

use milena::{Error, ErrorCode, ErrorKind};

/// A failure, with a text for the user.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The kind, which gives the exit code.
    kind: FailureKind,
    /// The text, without the hint.
    words: String,
    /// The topic or group that does not exist, if that is the failure. The nearest existing name is
    /// then added as a hint.
    pub(crate) missing: Option<Missing>,
    /// An advice that is printed after the text. `None` if there is none.
    hint: Option<String>,
}

/// A topic or group that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Topic(String),
    Group(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureKind {
    /// The reader of the output closed it. No message is printed.
    Quiet,
    Failed,
    Usage,
    Unreached,
    NotFound,
    State,
    TooOld,
    InOut,
    /// The command could not find out what it was asked to judge.
    Unknown,
    Interrupted,
}

impl Failure {
    fn new(kind: FailureKind, words: impl Into<String>) -> Self {
        Self {
            kind,
            words: words.into(),
            missing: None,
            hint: None,
        }
    }

    pub(crate) fn failed(words: impl Into<String>) -> Self {
        Self::new(FailureKind::Failed, words)
    }

    pub(crate) fn usage(words: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, words)
    }

    pub(crate) fn state(words: impl Into<String>) -> Self {
        Self::new(FailureKind::State, words)
    }

    pub(crate) fn not_found(words: impl Into<String>) -> Self {
        Self::new(FailureKind::NotFound, words)
    }

    pub(crate) fn unreached(words: impl Into<String>) -> Self {
        Self::new(FailureKind::Unreached, words)
    }

    pub(crate) fn unknown(words: impl Into<String>) -> Self {
        Self::new(FailureKind::Unknown, words)
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(FailureKind::Interrupted, "interrupted")
    }

    /// Makes a failure to read `what`.
    pub(crate) fn input(what: &str, error: &io::Error) -> Self {
        Self::new(
            FailureKind::InOut,
            format!("{what} cannot be read: {error}"),
        )
    }

    /// Makes a failure to connect. A server that answers but does not speak Kafka counts as not
    /// reached.
    pub(crate) fn connecting(error: Error) -> Self {
        let is_stranger = error.kind() == ErrorKind::Decode;
        let failure = Self::from(error);
        match is_stranger {
            true => Self {
                kind: FailureKind::Unreached,
                ..failure
            },
            false => failure,
        }
    }

    /// Adds an advice that may help.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts the subject in front of the text.
    pub(crate) fn before(mut self, what: impl fmt::Display) -> Self {
        self.words = format!("{what}: {}", self.words);
        self
    }

    /// Keeps the kind and replaces the text.
    pub(crate) fn say(self, words: impl Into<String>) -> Self {
        Self::new(self.kind, words)
    }

    /// Returns true if no message is to be printed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.kind == FailureKind::Quiet
    }

    /// Returns true if the output is closed or cannot be written, so that nothing more can be
    /// shown.
    pub(crate) fn is_output(&self) -> bool {
        matches!(self.kind, FailureKind::Quiet | FailureKind::InOut)
    }

    /// Returns the exit code.
    pub(crate) fn code(&self) -> u8 {
        match self.kind {
            FailureKind::Quiet => 0,
            FailureKind::Failed => 1,
            FailureKind::Usage => 2,
            FailureKind::Unreached => 3,
            FailureKind::NotFound => 4,
            FailureKind::State => 5,
            FailureKind::TooOld => 6,
            FailureKind::InOut => 7,
            FailureKind::Unknown => 8,
            FailureKind::Interrupted => 130,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Transport | ErrorKind::Timeout => FailureKind::Unreached,
            ErrorKind::Config | ErrorKind::Broker(ErrorCode::INVALID_GROUP_ID) => {
                FailureKind::Usage
            }
            ErrorKind::State => FailureKind::State,
            ErrorKind::Unsupported | ErrorKind::Broker(ErrorCode::UNSUPPORTED_VERSION) => {
                FailureKind::TooOld
            }
            ErrorKind::Broker(
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                | ErrorCode::UNKNOWN_TOPIC_ID
                | ErrorCode::GROUP_ID_NOT_FOUND,
            ) => FailureKind::NotFound,
            ErrorKind::Broker(
                ErrorCode::NON_EMPTY_GROUP | ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
            ) => FailureKind::State,
            _ => FailureKind::Failed,
        };
        let mut words = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            let why = next.to_string();
            // Some errors already contain the text of their cause, which is not repeated.
            let what = why.split(" (").next().unwrap_or_default();
            if !words.contains(what) {
                words.push_str(": ");
                words.push_str(&why);
            }
            cause = next.source();
        }
        let failure = Self::new(kind, words);
        if error.code() == Some(ErrorCode::INVALID_GROUP_ID) {
            let group = error.place().group.as_deref().unwrap_or_default();
            return failure.before(format!(
                "the broker does not accept '{group}' as the name of a group"
            ));
        }
        if kind != FailureKind::NotFound {
            return failure;
        }
        let place = error.place();
        // Decided by the code, because an error in a partition may name a group that does not
        // exist.
        if error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) {
            return match place.group.as_deref() {
                Some("") => Self::new(kind, "there is no group with an empty name"),
                Some(group) => Self {
                    missing: Some(Missing::Group(group.to_string())),
                    ..Self::new(
                        kind,
                        format!("there is no group '{group}': broker answered GROUP_ID_NOT_FOUND"),
                    )
                },
                None => failure,
            };
        }
        match (&place.topic, place.partition) {
            (Some(topic), Some(partition)) => {
                failure.before(format!("there is no partition {partition} of '{topic}'"))
            }
            (Some(topic), None) => Self {
                missing: Some(Missing::Topic(topic.to_string())),
                ..failure.before(format!("there is no topic '{topic}'"))
            },
            (None, _) => failure,
        }
    }
}

/// Makes a failure to write the output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(FailureKind::Quiet, "the output was closed"),
            _ => Self::new(
                FailureKind::InOut,
                format!("the output cannot be written: {error}"),
            ),
        }
    }
}
