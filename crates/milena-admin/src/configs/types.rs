//! Configs and changes of configs.

use std::fmt;

use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use milena_protocol::messages::incremental_alter_configs_request::AlterableConfig;

use crate::answers::wire;

/// One config of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigEntry {
    /// Kafka's key.
    pub name: String,
    /// The value in effect. `None` if it is sensitive or not set.
    pub value: Option<String>,
    /// The source of the value.
    pub source: ConfigSource,
    /// The type of its values.
    pub kind: ConfigKind,
    /// True if it can only be set in the broker's properties file.
    pub read_only: bool,
    /// True if brokers do not send the value, such as a password.
    pub sensitive: bool,
}

impl ConfigEntry {
    pub(super) fn read(told: &DescribeConfigsResourceResult) -> Self {
        Self {
            name: told.name.to_string(),
            value: told.value.as_ref().map(StrBytes::to_string),
            source: ConfigSource::from_wire(told.config_source),
            kind: ConfigKind::from_wire(told.config_type),
            read_only: told.read_only,
            sensitive: told.is_sensitive,
        }
    }

    /// Returns true if the value is Kafka's own default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }
}

/// The type of a config's values. Brokers read and compare values by their type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigKind {
    /// `true` or `false`, in any case.
    Boolean,
    /// A whole number.
    Integer,
    /// A number with a fraction.
    Double,
    /// Words separated by commas.
    List,
    /// A text, a class or a password.
    Text,
    /// The broker does not send the type (before Kafka 2.6), or this version of milena does not
    /// know it.
    Unknown,
}

impl ConfigKind {
    fn from_wire(raw: i8) -> Self {
        match raw {
            1 => Self::Boolean,
            2 | 8 | 9 => Self::Text,
            3..=5 => Self::Integer,
            6 => Self::Double,
            7 => Self::List,
            _ => Self::Unknown,
        }
    }
}

/// The source of a config's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigSource {
    /// Set for this topic.
    Topic,
    /// Set for this broker, dynamically.
    Broker,
    /// Set for all brokers, dynamically.
    AllBrokers,
    /// Set in the broker's properties file.
    File,
    /// Set for this group.
    Group,
    /// Kafka's own default.
    Default,
    /// A source that this version of milena does not know.
    Other,
}

impl ConfigSource {
    pub(super) fn from_wire(raw: i8) -> Self {
        match raw {
            1 => Self::Topic,
            2 => Self::Broker,
            3 => Self::AllBrokers,
            4 => Self::File,
            5 => Self::Default,
            8 => Self::Group,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topic => "topic",
            Self::Broker => "broker",
            Self::AllBrokers => "all brokers",
            Self::File => "file",
            Self::Group => "group",
            Self::Default => "default",
            Self::Other => "other",
        })
    }
}

/// A change of one config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Sets the key to the value.
    Set(String, String),
    /// Removes the value of the key, so that the default applies again.
    Unset(String),
    /// Adds the word to the list of the key.
    Append(String, String),
    /// Removes the word from the list of the key.
    Subtract(String, String),
}

impl ConfigChange {
    /// Sets `key` to `value`.
    pub fn set(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Set(key.into(), value.into())
    }

    /// Removes the value of `key`, so that the default applies again.
    pub fn unset(key: impl Into<String>) -> Self {
        Self::Unset(key.into())
    }

    pub(super) fn to_wire(&self) -> AlterableConfig {
        let (key, operation, value) = match self {
            Self::Set(key, value) => (key, 0, Some(value)),
            Self::Unset(key) => (key, 1, None),
            Self::Append(key, value) => (key, 2, Some(value)),
            Self::Subtract(key, value) => (key, 3, Some(value)),
        };
        AlterableConfig::default()
            .with_name(wire(key))
            .with_config_operation(operation)
            .with_value(value.map(wire))
    }
}
