//! Why a command did not do what it was asked for, and the exit code of that.

use std::error::Error as _;
use std::fmt;
use std::io;

use milena::{Error, ErrorCode, ErrorKind};

/// A failure, in words for the user.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    words: String,
    /// What was not there, by its name.
    pub(crate) missing: Option<Missing>,
    hint: Option<String>,
}

/// A name that nothing has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Topic(String),
    Group(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The reader of the output went away: nothing to complain of.
    Quiet,
    Failed,
    Usage,
    Unreached,
    NotFound,
    State,
    TooOld,
    InOut,
    /// What was asked about could not be found out.
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

    /// What went wrong when reading `what`.
    pub(crate) fn input(what: &str, error: &io::Error) -> Self {
        Self::new(Kind::InOut, format!("{what} cannot be read: {error}"))
    }

    /// Why a cluster was not reached: what answers there and speaks no Kafka is none.
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

    /// Adds what may help.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what it is about.
    pub(crate) fn before(mut self, what: impl fmt::Display) -> Self {
        self.words = format!("{what}: {}", self.words);
        self
    }

    /// The same kind of failure in other words.
    pub(crate) fn say(self, words: impl Into<String>) -> Self {
        Self::new(self.kind, words)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.kind == Kind::Quiet
    }

    /// Whether the output is closed or full, so that nothing more can be shown.
    pub(crate) fn is_output(&self) -> bool {
        matches!(self.kind, Kind::Quiet | Kind::InOut)
    }

    /// The exit code.
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
            // Errors that say their cause themselves need not say it twice.
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
                "'{group}' is no name of a group that the broker takes"
            ));
        }
        if kind != Kind::NotFound {
            return failure;
        }
        let place = error.place();
        // By the code: a group that is not there is named also where the error lies in a partition.
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

/// What went wrong when writing the output.
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
