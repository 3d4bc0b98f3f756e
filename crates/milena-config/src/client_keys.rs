//! The settings that everything made by a client shares.

use std::time::Duration;

use milena_core::{Address, Backoff, Result};

use crate::setting::settings;
use crate::value::{BACKOFF, DURATION, Form, LIST, Raw, TEXT, unsaid};

settings! {
    /// The settings that everything made by a client shares, as far as they were given. `None`
    /// leaves what was set before, or the default.
    ClientDraft of Client {
        bootstrap: Vec<String> = "bootstrap.servers", BOOTSTRAP, "", "brokers of the cluster, host:port each; one that answers is enough";
        client_id: String = "client.id", TEXT, "milena", "the name of this client in the logs and quotas of brokers";
        group: String = "group.id", TEXT, "", "the group that `client.group()` returns";
        request_timeout: Duration = "request.timeout.ms", DURATION, "30s", "the longest wait for a broker's answer";
        connect_timeout: Duration = "socket.connection.setup.timeout.ms", DURATION, "10s", "the longest time to connect to a broker and end the handshake";
        api_timeout: Duration = "default.api.timeout.ms", DURATION, "60s", "the longest time of an operation with its retries";
        metadata_max_age: Duration = "metadata.max.age.ms", DURATION, "5m", "the largest age of the cluster's metadata";
        metadata_max_idle: Duration = "metadata.max.idle.ms", DURATION, "5m", "the time after which the metadata of an unused topic is no longer asked for";
        connections_max_idle: Duration = "connections.max.idle.ms", DURATION, "9m", "the time without requests after which a connection is closed";
        backoff: Backoff = "retry.backoff.ms", BACKOFF, "100ms..1s", "the shortest and the longest wait between tries of an operation";
        reconnect_backoff: Backoff = "reconnect.backoff.ms", BACKOFF, "50ms..1s", "the shortest and the longest wait between connection attempts to a broker";
        address_map: Vec<(Address, Address)> = "", ADDRESSES, "", "addresses that replace those of brokers, for tunnels and port forwards";
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_pairs() {
        let raw = Raw::Text("kafka-1:9092=localhost:19092, kafka-2:9092=[::1]:9".to_owned());
        let map = (ADDRESSES.read)(&raw).unwrap();
        let texts = map.iter().map(|(from, to)| format!("{from}={to}"));
        assert_eq!(
            texts.collect::<Vec<_>>(),
            ["kafka-1:9092=localhost:19092", "kafka-2:9092=[::1]:9"]
        );
        assert!((ADDRESSES.read)(&Raw::Text("kafka-1:9092".to_owned())).is_none());
    }
}
