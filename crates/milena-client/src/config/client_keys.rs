//! The settings that everything made by a client shares.

use milena_core::{Address, Backoff, Result};

use super::change::Change;
use super::key::Key;
use super::section::Section;
use super::value::{DURATION, Form, LIST, RANGE, Raw, TEXT, unsaid};

macro_rules! keys {
    ($($name:literal, $kafka:literal, $form:expr, $default:literal, $about:literal: |$draft:ident, $value:ident| $set:expr;)*) => {
        /// The settings that everything made by a client shares.
        pub(super) const KEYS: &[Key] = &[$(Key {
            section: Section::Client,
            name: $name,
            kafka: $kafka,
            allowed: $form.allowed,
            why: $form.why,
            default: $default,
            about: $about,
            read: |raw| {
                let $value = ($form.read)(raw)?;
                Some(Change::Client(Box::new(move |$draft| $set)))
            },
        },)*];
    };
}

keys! {
    "bootstrap", "bootstrap.servers", BOOTSTRAP, "", "brokers of the cluster, host:port each; one that answers is enough":
        |draft, value| draft.bootstrap(value);
    "client_id", "client.id", TEXT, "milena", "the name of this client in the logs and quotas of brokers":
        |draft, value| draft.with(|cluster| cluster.client_id(value));
    "group", "group.id", TEXT, "", "the group that `client.group()` returns":
        |draft, value| draft.group(value);
    "request_timeout", "request.timeout.ms", DURATION, "30s", "the longest wait for a broker's answer":
        |draft, value| draft.with(|cluster| cluster.request_timeout(value));
    "connect_timeout", "socket.connection.setup.timeout.ms", DURATION, "10s", "the longest time to connect to a broker and end the handshake":
        |draft, value| draft.with(|cluster| cluster.connect_timeout(value));
    "api_timeout", "default.api.timeout.ms", DURATION, "60s", "the longest time of an operation with its retries":
        |draft, value| draft.with(|cluster| cluster.api_timeout(value));
    "metadata_max_age", "metadata.max.age.ms", DURATION, "5m", "the largest age of the cluster's metadata":
        |draft, value| draft.with(|cluster| cluster.metadata_max_age(value));
    "metadata_max_idle", "metadata.max.idle.ms", DURATION, "5m", "the time after which the metadata of an unused topic is no longer asked for":
        |draft, value| draft.with(|cluster| cluster.metadata_max_idle(value));
    "connections_max_idle", "connections.max.idle.ms", DURATION, "9m", "the time without requests after which a connection is closed":
        |draft, value| draft.with(|cluster| cluster.connections_max_idle(value));
    "backoff", "retry.backoff.ms", RANGE, "100ms..1s", "the shortest and the longest wait between tries of an operation":
        |draft, value| draft.with(|cluster| cluster.backoff(Backoff::new(value.0, value.1)));
    "reconnect_backoff", "reconnect.backoff.ms", RANGE, "50ms..1s", "the shortest and the longest wait between connection attempts to a broker":
        |draft, value| draft.with(|cluster| cluster.reconnect_backoff(Backoff::new(value.0, value.1)));
    "address_map", "", ADDRESSES, "", "addresses that replace those of brokers, for tunnels and port forwards":
        |draft, value| draft.with(|cluster| {
            cluster.address_map(move |address| replaced(&value, address))
        });
}

/// The addresses of brokers. Each is checked when it is read, not first when it is dialed.
const BOOTSTRAP: Form<Vec<String>> = Form {
    allowed: "a list of host:port, or one text with commas",
    why: |raw| addresses(raw).err().map(|error| error.message().to_owned()),
    read: |raw| {
        let found = addresses(raw).ok()?;
        let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
        (!texts.is_empty()).then_some(texts)
    },
};

fn addresses(raw: &Raw) -> Result<Vec<Address>> {
    let texts = match raw {
        Raw::Null => &[][..],
        Raw::Text(text) => std::slice::from_ref(text),
        Raw::List(texts) => texts,
    };
    let lists = texts.iter().map(|text| Address::parse_list(text));
    Ok(lists.collect::<Result<Vec<_>>>()?.concat())
}

/// Pairs of addresses, the address in the cluster and the address to dial instead.
const ADDRESSES: Form<Vec<(Address, Address)>> = Form {
    allowed: "a list of host:port=host:port",
    why: unsaid,
    read: |raw| {
        let pair = |text: &String| {
            let (from, to) = text.split_once('=')?;
            Some((from.parse().ok()?, to.parse().ok()?))
        };
        (LIST.read)(raw)?.iter().map(pair).collect()
    },
};

fn replaced(map: &[(Address, Address)], address: &Address) -> Address {
    let found = map.iter().find(|(from, _)| from == address);
    found.map_or_else(|| address.clone(), |(_, to)| to.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_replaced_in_pairs() {
        let raw = Raw::Text("kafka-1:9092=localhost:19092, kafka-2:9092=[::1]:9".to_owned());
        let map = (ADDRESSES.read)(&raw).unwrap();
        let to = |text: &str| replaced(&map, &text.parse().unwrap()).to_string();
        assert_eq!(to("kafka-1:9092"), "localhost:19092");
        assert_eq!(to("kafka-3:9092"), "kafka-3:9092");
        assert!((ADDRESSES.read)(&Raw::Text("kafka-1:9092".to_owned())).is_none());
    }
}
