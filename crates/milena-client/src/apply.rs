//! Drafts of settings, applied to the builders.
//!
//! Each function takes a draft apart by all of its names, so that a setting that was forgotten here
//! does not build.

use milena_config::{ClientDraft, ConsumerDraft, ProducerDraft};
use milena_consumer::{AssignedConsumerBuilder, ConsumerBuilder};
use milena_core::Address;
use milena_producer::ProducerBuilder;
use milena_producer::partitioner::named;

use crate::draft::ClusterDraft;

/// Calls the setters of a builder with the settings that a draft has. A setter is the method of the
/// setting's name, or the function behind it.
macro_rules! apply {
    ($draft:ident: $type:ident { $($name:ident $(by $set:expr)?,)* } $(without { $($other:ident,)* })? to $builder:ident: $target:ident) => {{
        let $type { $($name,)* $($($other: _,)*)? } = $draft.clone();
        $(let $builder = match $name {
            Some(value) => apply!(@set $target $name $($set)?)($builder, value),
            None => $builder,
        };)*
        $builder
    }};
    (@set $target:ident $name:ident) => { $target::$name };
    (@set $target:ident $name:ident $set:expr) => { $set };
}

/// Calls the setters of a builder with the settings that every consumer has, in a group or not, and
/// with those that are listed.
macro_rules! apply_to_consumer {
    ($draft:ident { $($own:tt)* } $(without { $($other:ident,)* })? to $builder:ident: $target:ident) => {
        apply!($draft: ConsumerDraft {
            $($own)*
            client_rack,
            drain_timeout,
            auto_offset_reset,
            isolation_level,
            fetch_max_wait,
            fetch_min_bytes,
            fetch_max_bytes,
            max_partition_fetch_bytes,
            buffer_memory,
            max_batch_size,
            check_crcs,
            on_corrupt,
            order,
            max_out_of_order,
            on_lane_stop,
            max_processing_time,
            on_stuck,
            shutdown_timeout,
            max_attempts,
            retry_backoff,
        } $(without { $($other,)* })? to $builder: $target)
    };
}

/// Applies the settings that everything made by a client shares.
pub(crate) fn shared(draft: &ClientDraft, builder: ClusterDraft) -> ClusterDraft {
    apply!(draft: ClientDraft {
        bootstrap by |draft: ClusterDraft, value| draft.bootstrap(value),
        client_id by |draft: ClusterDraft, value| draft.with(|cluster| cluster.client_id(value)),
        group by |draft: ClusterDraft, value| draft.group(value),
        request_timeout by |draft: ClusterDraft, value| draft.with(|cluster| cluster.request_timeout(value)),
        connect_timeout by |draft: ClusterDraft, value| draft.with(|cluster| cluster.connect_timeout(value)),
        api_timeout by |draft: ClusterDraft, value| draft.with(|cluster| cluster.api_timeout(value)),
        metadata_max_age by |draft: ClusterDraft, value| draft.with(|cluster| cluster.metadata_max_age(value)),
        metadata_max_idle by |draft: ClusterDraft, value| draft.with(|cluster| cluster.metadata_max_idle(value)),
        connections_max_idle by |draft: ClusterDraft, value| draft.with(|cluster| cluster.connections_max_idle(value)),
        backoff by |draft: ClusterDraft, value| draft.with(|cluster| cluster.backoff(value)),
        reconnect_backoff by |draft: ClusterDraft, value| draft.with(|cluster| cluster.reconnect_backoff(value)),
        address_map by |draft: ClusterDraft, map: Vec<_>| {
            draft.with(|cluster| cluster.address_map(move |address| replaced(&map, address)))
        },
    } to builder: ClusterDraft)
}

/// Applies the settings of a producer.
pub(crate) fn producer(draft: &ProducerDraft, builder: ProducerBuilder) -> ProducerBuilder {
    apply!(draft: ProducerDraft {
        acks,
        enable_idempotence,
        linger,
        batch_size,
        batch_records,
        max_request_size,
        buffer_memory,
        compression,
        delivery_timeout,
        missing_topic_timeout,
        request_timeout,
        max_block,
        max_in_flight,
        retries,
        backoff,
        partitioner by |builder: ProducerBuilder, name| builder.partitioner(named(name)),
        adaptive_partitioning,
        partitioner_availability_timeout,
    } to builder: ProducerBuilder)
}

/// Applies the settings of a consumer in a group.
pub(crate) fn member(draft: &ConsumerDraft, builder: ConsumerBuilder) -> ConsumerBuilder {
    apply_to_consumer!(draft {
        topics,
        topic_pattern,
        assignors,
        group_protocol,
        group_remote_assignor,
        group_membership_on_close,
        group_instance_id,
        session_timeout,
        heartbeat_interval,
        rebalance_timeout,
        commit_interval,
        manual_commit by |builder: ConsumerBuilder, manual| match manual {
            true => builder.manual_commit(),
            false => builder,
        },
        commit_metadata,
    } to builder: ConsumerBuilder)
}

/// Applies the settings of a consumer without a group. Those of group members do not concern it.
pub(crate) fn assigned(
    draft: &ConsumerDraft,
    builder: AssignedConsumerBuilder,
) -> AssignedConsumerBuilder {
    apply_to_consumer!(draft {} without {
        topics,
        topic_pattern,
        assignors,
        group_protocol,
        group_remote_assignor,
        group_membership_on_close,
        group_instance_id,
        session_timeout,
        heartbeat_interval,
        rebalance_timeout,
        commit_interval,
        manual_commit,
        commit_metadata,
    } to builder: AssignedConsumerBuilder)
}

/// Returns the address to dial instead of `address`.
fn replaced(map: &[(Address, Address)], address: &Address) -> Address {
    let found = map.iter().find(|(from, _)| from == address);
    found.map_or_else(|| address.clone(), |(_, to)| to.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_replaced_in_pairs() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        let map = [
            (address("kafka-1:9092"), address("localhost:19092")),
            (address("kafka-2:9092"), address("[::1]:9")),
        ];
        let to = |text: &str| replaced(&map, &address(text)).to_string();
        assert_eq!(to("kafka-1:9092"), "localhost:19092");
        assert_eq!(to("kafka-3:9092"), "kafka-3:9092");
    }
}
