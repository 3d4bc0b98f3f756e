//! The reasons that a command failed, with their exit codes.

use std::error::Error as _;
use std::fmt;
use std::io;

use milena::{Error, ErrorCode, ErrorKind};

/// A failure, with a text for the user.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The kind, which gives the exit code.
    kind: Kind,
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
enum Kind {
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
    fn new(kind: Kind, words: impl Into<String>) -> Self {
        Self {
            kind,
            words: words.into(),
            missing: None,
            hint: None,
        }
    }

    pub(crate) fn failed(words: impl Into<String>) -> Self {
        Self::new(Kind::Failed, words)
    }

    pub(crate) fn usage(words: impl Into<String>) -> Self {
        Self::new(Kind::Usage, words)
    }

    pub(crate) fn state(words: impl Into<String>) -> Self {
        Self::new(Kind::State, words)
    }

    pub(crate) fn not_found(words: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, words)
    }

    pub(crate) fn unreached(words: impl Into<String>) -> Self {
        Self::new(Kind::Unreached, words)
    }

    pub(crate) fn unknown(words: impl Into<String>) -> Self {
        Self::new(Kind::Unknown, words)
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// Makes a failure to read `what`.
    pub(crate) fn input(what: &str, error: &io::Error) -> Self {
        Self::new(Kind::InOut, format!("{what} cannot be read: {error}"))
    }

    /// Makes a failure to connect. A server that answers but does not speak Kafka counts as not
    /// reached.
    pub(crate) fn connecting(error: Error) -> Self {
        let is_stranger = error.kind() == ErrorKind::Decode;
        let failure = Self::from(error);
        match is_stranger {
            true => Self {
                kind: Kind::Unreached,
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
        self.kind == Kind::Quiet
    }

    /// Returns true if the output is closed or cannot be written, so that nothing more can be
    /// shown.
    pub(crate) fn is_output(&self) -> bool {
        matches!(self.kind, Kind::Quiet | Kind::InOut)
    }

    /// Returns the exit code.
    pub(crate) fn code(&self) -> u8 {
        match self.kind {
            Kind::Quiet => 0,
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Unreached => 3,
            Kind::NotFound => 4,
            Kind::State => 5,
            Kind::TooOld => 6,
            Kind::InOut => 7,
            Kind::Unknown => 8,
            Kind::Interrupted => 130,
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
            ErrorKind::Transport | ErrorKind::Timeout => Kind::Unreached,
            ErrorKind::Config | ErrorKind::Broker(ErrorCode::INVALID_GROUP_ID) => Kind::Usage,
            ErrorKind::State => Kind::State,
            ErrorKind::Unsupported | ErrorKind::Broker(ErrorCode::UNSUPPORTED_VERSION) => {
                Kind::TooOld
            }
            ErrorKind::Broker(
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                | ErrorCode::UNKNOWN_TOPIC_ID
                | ErrorCode::GROUP_ID_NOT_FOUND,
            ) => Kind::NotFound,
            ErrorKind::Broker(
                ErrorCode::NON_EMPTY_GROUP | ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
            ) => Kind::State,
            _ => Kind::Failed,
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
        if kind != Kind::NotFound {
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
            io::ErrorKind::BrokenPipe => Self::new(Kind::Quiet, "the output was closed"),
            _ => Self::new(
                Kind::InOut,
                format!("the output cannot be written: {error}"),
            ),
        }
    }
}
