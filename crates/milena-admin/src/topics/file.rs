//! Wanted topics, written in TOML.

use milena_core::{Error, ErrorKind, Result};
use toml::{Table, Value};

use super::manager::TopicManager;
use super::new_topic::NewTopic;

impl TopicManager {
    /// Adds the topics of a TOML text. Each topic is a table.
    ///
    /// ```toml
    /// [topics.orders]
    /// partitions = 12
    /// replication_factor = 3
    /// configs = { "retention.ms" = 86400000, "cleanup.policy" = "compact" }
    ///
    /// [topics."orders.dlq"]
    /// ```
    ///
    /// Everything outside of `topics` is ignored, so the text may be a program's own configuration
    /// file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the topic and the setting, or with line and column if the text is
    /// not TOML.
    pub fn toml(self, text: &str) -> Result<Self> {
        self.add_tables(&document(text)?)
    }

    /// Like [`toml`](Self::toml), for a text that holds only topics.
    ///
    /// # Errors
    /// The errors of [`toml`](Self::toml), and [`ErrorKind::Config`] if the text holds no topic or
    /// anything else. The text of the error names the other content.
    pub fn topics_toml(self, text: &str) -> Result<Self> {
        let document = document(text)?;
        if let Some(other) = document.keys().find(|key| *key != "topics") {
            let what = format!(
                "`{other}` does not belong in a file of topics; write each topic as a table `[topics.NAME]`"
            );
            return Err(Error::new(ErrorKind::Config, what));
        }
        let before = self.topics.len();
        let with = self.add_tables(&document)?;
        if with.topics.len() == before {
            let what = "the file holds no topic; write each topic as a table `[topics.NAME]`";
            return Err(Error::new(ErrorKind::Config, what));
        }
        Ok(with)
    }

    /// Adds the topics in the table `topics`. Adds none if there is no such table.
    fn add_tables(self, document: &Table) -> Result<Self> {
        let topics = match document.get("topics") {
            None => return Ok(self),
            Some(Value::Table(topics)) => topics,
            Some(_) => return Err(Error::new(ErrorKind::Config, "`topics` is not a table")),
        };
        let topics: Result<Vec<NewTopic>> =
            topics.iter().map(|(name, told)| read(name, told)).collect();
        Ok(self.topics(topics?))
    }
}

/// Parses the TOML text.
fn document(text: &str) -> Result<Table> {
    text.parse().map_err(|error: toml::de::Error| {
        let what = format!(
            "the topics cannot be read: {}",
            error.to_string().trim_end()
        );
        Error::new(ErrorKind::Config, what.replace('\n', " "))
    })
}

/// Reads the table of one topic.
fn read(name: &str, told: &Value) -> Result<NewTopic> {
    let wrong = |what: String| Error::new(ErrorKind::Config, what).topic(name);
    let Value::Table(told) = told else {
        return Err(wrong("the topic is not a table of settings".to_owned()));
    };
    let mut topic = NewTopic::new(name);
    if let Some(defect) = topic.name().defect() {
        return Err(wrong(defect.to_owned()));
    }
    for (key, value) in told {
        topic = match (key.as_str(), value) {
            ("partitions", value) => topic.partitions(count(value).ok_or_else(|| {
                wrong(format!(
                    "`partitions` must be a number, at least 1, not {}",
                    shown(value)
                ))
            })?),
            ("replication_factor", value) => {
                topic.replication_factor(count(value).ok_or_else(|| {
                    wrong(format!(
                        "`replication_factor` must be a number, at least 1, not {}",
                        shown(value)
                    ))
                })?)
            }
            ("configs", Value::Table(configs)) => {
                let mut topic = topic;
                for (key, value) in configs {
                    let value = text(value).ok_or_else(|| {
                        wrong(format!(
                            "the config `{key}` must be a word, a number or a list of those, not {}",
                            shown(value)
                        ))
                    })?;
                    topic = topic.config(key, value);
                }
                topic
            }
            ("configs", _) => return Err(wrong("`configs` is not a table".to_owned())),
            (key, _) => {
                let what =
                    "is not a setting of a topic; write partitions, replication_factor or configs";
                return Err(wrong(format!("`{key}` {what}")));
            }
        };
    }
    Ok(topic)
}

/// Returns the number if it is positive and fits.
fn count<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    let number = value.as_integer().filter(|number| *number > 0)?;
    T::try_from(number).ok()
}

/// Returns a value in the form of a Kafka config. `None` for a table, an empty list and the like.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(yes) => Some(yes.to_string()),
        // Kafka writes a list as words separated by commas.
        Value::Array(values) if !values.is_empty() => {
            let words: Option<Vec<String>> = values.iter().map(word).collect();
            words.map(|words| words.join(","))
        }
        _ => None,
    }
}

/// Returns an item of a list. Kafka has no lists within lists.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::Array(_) => None,
        value => text(value),
    }
}

/// Returns a value as text for an error.
fn shown(value: &Value) -> String {
    text(value).unwrap_or_else(|| format!("a value of type {}", value.type_str()))
}
