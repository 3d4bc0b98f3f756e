//! The settings of brokers, with the values from the start and later changes.

use std::collections::BTreeMap;

use milena_core::ErrorCode;
use parking_lot::RwLock;

use crate::config_kind::Kind;
use crate::refused::Refused;
use crate::settings::Settings;

/// The settings of brokers that were changed at run time. The key is a broker, or `None` for the
/// defaults of all.
///
/// Only `message.max.bytes` takes effect. The others are kept and shown, like topic settings that
/// the embedded broker does not model.
#[derive(Debug, Default)]
pub(crate) struct BrokerConfigs(RwLock<BTreeMap<Option<i32>, BTreeMap<&'static str, String>>>);

/// One setting of a broker, as DescribeConfigs shows it.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The setting's name.
    pub(crate) key: &'static str,
    /// The value.
    pub(crate) value: String,
    /// The type of the value.
    pub(crate) kind: Kind,
    /// True if the setting cannot be changed at run time.
    pub(crate) read_only: bool,
    /// The source of the value, as a number on the wire.
    pub(crate) source: i8,
}

/// A change of one setting. `None` resets it.
pub(crate) type Change<'a> = (&'a str, Option<&'a str>);

impl BrokerConfigs {
    /// Returns the settings of broker `node`, or the changed defaults of all brokers for `None`.
    pub(crate) fn shown(&self, settings: &Settings, node: Option<i32>) -> Vec<Shown> {
        let changed = self.0.read();
        let of = |node: Option<i32>, key: &str| {
            let value = changed.get(&node).and_then(|own| own.get(key));
            value.cloned()
        };
        let each = KEYS.iter().filter_map(|(key, kind, read_only, read)| {
            let own = node.and_then(|node| of(Some(node), key));
            let all = of(None, key);
            let (value, source) = match (own, all) {
                (Some(own), _) => (own, DYNAMIC_BROKER),
                (None, Some(all)) => (all, DYNAMIC_DEFAULT),
                (None, None) => (read(settings, node?), STATIC),
            };
            Some(Shown {
                key,
                value,
                kind: *kind,
                read_only: *read_only,
                source,
            })
        });
        each.collect()
    }

    /// Changes settings of broker `node`, or the defaults of all for `None`. Either all changes are
    /// made, or none and the reason is returned. `dry` only checks them.
    pub(crate) fn change(
        &self,
        node: Option<i32>,
        changes: &[Change<'_>],
        dry: bool,
    ) -> Result<(), Refused> {
        let read = read(changes)?;
        if !dry {
            apply(self.0.write().entry(node).or_default(), read);
        }
        Ok(())
    }

    /// Replaces the changed settings of broker `node`, or the defaults of all for `None`. Settings
    /// that are not named are reset.
    pub(crate) fn replace(
        &self,
        node: Option<i32>,
        changes: &[Change<'_>],
        dry: bool,
    ) -> Result<(), Refused> {
        let read = read(changes)?;
        if !dry {
            let mut own = BTreeMap::new();
            apply(&mut own, read);
            self.0.write().insert(node, own);
        }
        Ok(())
    }

    /// Returns `message.max.bytes` of broker `node`, if it was changed for it or for all.
    pub(crate) fn message_max_bytes(&self, node: i32) -> Option<usize> {
        let changed = self.0.read();
        let mut places = [Some(node), None].into_iter();
        let value = places.find_map(|of| changed.get(&of)?.get(MESSAGE_MAX_BYTES));
        value?.parse().ok()
    }
}

/// A change in the form that is stored.
type ReadChange = (&'static str, Option<String>);

/// Reads changes by the types of their settings.
fn read(changes: &[Change<'_>]) -> Result<Vec<ReadChange>, Refused> {
    let each = changes.iter().map(|(key, value)| {
        let invalid = |why: String| (ErrorCode::INVALID_CONFIG, why);
        let known = KEYS.iter().find(|(name, ..)| name == key);
        let (name, kind, read_only, _) =
            known.ok_or_else(|| invalid(format!("Unknown broker config name: {key}")))?;
        if *read_only {
            let what = format!("Cannot update these configs dynamically: Set({key})");
            return Err((ErrorCode::INVALID_REQUEST, what));
        }
        let value = value.map(|value| {
            kind.read(value)
                .ok_or_else(|| invalid(format!("Invalid value {value} for configuration {key}")))
        });
        Ok((*name, value.transpose()?))
    });
    each.collect()
}

/// Applies changes to the settings of one broker.
fn apply(own: &mut BTreeMap<&'static str, String>, changes: Vec<ReadChange>) {
    for (name, value) in changes {
        match value {
            Some(value) => drop(own.insert(name, value)),
            None => drop(own.remove(name)),
        }
    }
}

const MESSAGE_MAX_BYTES: &str = "message.max.bytes";
/// The sources of broker settings on the wire.
const DYNAMIC_BROKER: i8 = 2;
const DYNAMIC_DEFAULT: i8 = 3;
const STATIC: i8 = 4;

/// Reads the value of a setting from the start of a broker.
type Read = fn(&Settings, i32) -> String;

/// Every setting, with its name, its type, true if it is read-only, and its value at the start.
const KEYS: &[(&str, Kind, bool, Read)] = &[
    ("auto.create.topics.enable", Kind::Boolean, true, |s, _| {
        s.auto_create_topics.to_string()
    }),
    ("broker.id", Kind::Int(0), true, |_, node| node.to_string()),
    ("compression.type", Kind::Text, false, |_, _| {
        "producer".to_owned()
    }),
    ("default.replication.factor", Kind::Int(1), true, |s, _| {
        s.default_replication.to_string()
    }),
    (
        "group.consumer.heartbeat.interval.ms",
        Kind::Int(1),
        true,
        |s, _| s.consumer_timing.interval.as_millis().to_string(),
    ),
    (
        "group.consumer.session.timeout.ms",
        Kind::Int(1),
        true,
        |s, _| s.consumer_timing.session.as_millis().to_string(),
    ),
    (
        "group.initial.rebalance.delay.ms",
        Kind::Int(0),
        true,
        |s, _| s.initial_rebalance_delay.as_millis().to_string(),
    ),
    (
        "group.max.session.timeout.ms",
        Kind::Int(1),
        true,
        |s, _| s.max_session_timeout.as_millis().to_string(),
    ),
    (
        "group.min.session.timeout.ms",
        Kind::Int(1),
        true,
        |s, _| s.min_session_timeout.as_millis().to_string(),
    ),
    ("log.cleanup.policy", Kind::Text, false, |_, _| {
        "delete".to_owned()
    }),
    (
        "log.message.timestamp.after.max.ms",
        Kind::Long(0),
        false,
        |_, _| "3600000".to_owned(),
    ),
    (
        "log.message.timestamp.before.max.ms",
        Kind::Long(0),
        false,
        |_, _| i64::MAX.to_string(),
    ),
    ("log.message.timestamp.type", Kind::Text, false, |_, _| {
        "CreateTime".to_owned()
    }),
    ("log.retention.bytes", Kind::Long(-1), false, |s, _| {
        s.retention_bytes
            .map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string())
    }),
    ("log.retention.ms", Kind::Long(-1), false, |_, _| {
        "604800000".to_owned()
    }),
    ("log.segment.bytes", Kind::Int(14), false, |_, _| {
        "1073741824".to_owned()
    }),
    (
        "max.incremental.fetch.session.cache.slots",
        Kind::Int(0),
        true,
        |s, _| s.max_fetch_sessions.to_string(),
    ),
    (MESSAGE_MAX_BYTES, Kind::Int(0), false, |s, _| {
        s.max_message_bytes.to_string()
    }),
    ("min.insync.replicas", Kind::Int(1), false, |_, _| {
        "1".to_owned()
    }),
    ("node.id", Kind::Int(0), true, |_, node| node.to_string()),
    ("num.partitions", Kind::Int(1), true, |s, _| {
        s.default_partitions.to_string()
    }),
    ("offset.metadata.max.bytes", Kind::Int(0), true, |_, _| {
        "4096".to_owned()
    }),
    ("replica.lag.time.max.ms", Kind::Long(0), true, |s, _| {
        s.replica_lag_time_max.as_millis().to_string()
    }),
    ("socket.request.max.bytes", Kind::Int(1), true, |s, _| {
        s.max_request_bytes.to_string()
    }),
    (
        "unclean.leader.election.enable",
        Kind::Boolean,
        false,
        |_, _| "false".to_owned(),
    ),
];
