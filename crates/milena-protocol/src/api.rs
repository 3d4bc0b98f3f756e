//! The table of APIs, with key, name, messages, first flexible version, and the versions that
//! milena speaks.

use kafka_protocol::messages;
use kafka_protocol::protocol::{HeaderVersion, Message};

use crate::versions::VersionRange;

/// The abilities that a message needs, which depend on the features of the build. Implemented for
/// every message that has them.
mod able {
    #[cfg(feature = "client")]
    pub trait ClientSends: kafka_protocol::protocol::Encodable {}
    #[cfg(feature = "client")]
    impl<T: kafka_protocol::protocol::Encodable> ClientSends for T {}
    #[cfg(not(feature = "client"))]
    pub trait ClientSends {}
    #[cfg(not(feature = "client"))]
    impl<T> ClientSends for T {}

    #[cfg(feature = "client")]
    pub trait ClientReads: kafka_protocol::protocol::Decodable {}
    #[cfg(feature = "client")]
    impl<T: kafka_protocol::protocol::Decodable> ClientReads for T {}
    #[cfg(not(feature = "client"))]
    pub trait ClientReads {}
    #[cfg(not(feature = "client"))]
    impl<T> ClientReads for T {}

    #[cfg(feature = "broker")]
    pub trait BrokerReads: kafka_protocol::protocol::Decodable {}
    #[cfg(feature = "broker")]
    impl<T: kafka_protocol::protocol::Decodable> BrokerReads for T {}
    #[cfg(not(feature = "broker"))]
    pub trait BrokerReads {}
    #[cfg(not(feature = "broker"))]
    impl<T> BrokerReads for T {}

    #[cfg(feature = "broker")]
    pub trait BrokerSends: kafka_protocol::protocol::Encodable {}
    #[cfg(feature = "broker")]
    impl<T: kafka_protocol::protocol::Encodable> BrokerSends for T {}
    #[cfg(not(feature = "broker"))]
    pub trait BrokerSends {}
    #[cfg(not(feature = "broker"))]
    impl<T> BrokerSends for T {}
}

/// A request of the table, with the response that answers it.
///
/// Implemented for `kafka-protocol`'s request types and for nothing else.
pub trait Request:
    Message + HeaderVersion + able::ClientSends + able::BrokerReads + std::fmt::Debug + Send + 'static
{
    /// The API that this request belongs to.
    const KEY: ApiKey;
    /// The API's name, as Kafka writes it.
    const NAME: &'static str = Self::KEY.name();
    /// The response to this request.
    type Response: Message
        + HeaderVersion
        + able::ClientReads
        + able::BrokerSends
        + std::fmt::Debug
        + Send
        + 'static;
}

macro_rules! apis {
    ($( $name:ident = $key:literal, flexible $flexible:literal, $min:literal ..= $max:literal, $request:ident, $response:ident; )*) => {
        /// An API of the Kafka protocol that milena knows.
        ///
        /// # References
        /// Protocol guide, "The Messages".
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        #[repr(i16)]
        pub enum ApiKey {
            $(
                #[doc = concat!("API key ", $key, ", versions ", $min, " to ", $max, ".")]
                $name = $key,
            )*
        }

        impl ApiKey {
            /// Every API of the table, by ascending key.
            pub const ALL: &'static [Self] = &[ $( Self::$name ),* ];

            /// Reads an API key. `None` if milena does not know it.
            pub const fn from_wire(raw: i16) -> Option<Self> {
                match raw {
                    $( $key => Some(Self::$name), )*
                    _ => None,
                }
            }

            /// Returns the API's name, as Kafka writes it.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$name => stringify!($name), )*
                }
            }

            /// Returns the versions that milena's client speaks.
            pub const fn supported(self) -> VersionRange {
                match self {
                    $( Self::$name => VersionRange { min: $min, max: $max }, )*
                }
            }

            /// Returns the versions whose bytes milena understands. A broker may offer them to any
            /// client.
            pub const fn known(self) -> VersionRange {
                match self {
                    $( Self::$name => {
                        let known = <messages::$request as Message>::VERSIONS;
                        VersionRange { min: known.min, max: known.max }
                    } )*
                }
            }

            /// Returns the first version with compact types and tagged fields (KIP-482).
            const fn first_flexible(self) -> i16 {
                match self {
                    $( Self::$name => $flexible, )*
                }
            }
        }

        $(
            impl Request for messages::$request {
                const KEY: ApiKey = ApiKey::$name;
                type Response = messages::$response;
            }
        )*

        /// Passes the table to another macro, one line per API.
        #[allow(unused_macros, reason = "only the broker's side walks the table")]
        macro_rules! with_apis {
            ($then:ident) => { $then! { $( $name, $request, $response; )* } };
        }
        #[allow(unused_imports, reason = "only the broker's side walks the table")]
        pub(crate) use with_apis;
    };
}

// The lowest version of each line is one that Kafka 2.4 and 4.x both serve, since KIP-896 dropped
// older ones. The highest is the newest that kafka-protocol can write. There are three exceptions.
// Metadata starts at 4, the first version that can forbid topic creation. AddPartitionsToTxn ends
// at 3, since later versions are for brokers. Fetch ends at 17, since 18 is for replicas.
apis! {
    Produce = 0, flexible 9, 3..=13, ProduceRequest, ProduceResponse;
    Fetch = 1, flexible 12, 4..=17, FetchRequest, FetchResponse;
    ListOffsets = 2, flexible 6, 1..=10, ListOffsetsRequest, ListOffsetsResponse;
    Metadata = 3, flexible 9, 4..=13, MetadataRequest, MetadataResponse;
    OffsetCommit = 8, flexible 8, 2..=9, OffsetCommitRequest, OffsetCommitResponse;
    OffsetFetch = 9, flexible 6, 2..=9, OffsetFetchRequest, OffsetFetchResponse;
    FindCoordinator = 10, flexible 3, 1..=6, FindCoordinatorRequest, FindCoordinatorResponse;
    JoinGroup = 11, flexible 6, 2..=9, JoinGroupRequest, JoinGroupResponse;
    Heartbeat = 12, flexible 4, 1..=4, HeartbeatRequest, HeartbeatResponse;
    LeaveGroup = 13, flexible 4, 1..=5, LeaveGroupRequest, LeaveGroupResponse;
    SyncGroup = 14, flexible 4, 1..=5, SyncGroupRequest, SyncGroupResponse;
    DescribeGroups = 15, flexible 5, 1..=6, DescribeGroupsRequest, DescribeGroupsResponse;
    ListGroups = 16, flexible 3, 1..=5, ListGroupsRequest, ListGroupsResponse;
    SaslHandshake = 17, flexible 32767, 1..=1, SaslHandshakeRequest, SaslHandshakeResponse;
    ApiVersions = 18, flexible 3, 0..=4, ApiVersionsRequest, ApiVersionsResponse;
    CreateTopics = 19, flexible 5, 2..=7, CreateTopicsRequest, CreateTopicsResponse;
    DeleteTopics = 20, flexible 4, 1..=6, DeleteTopicsRequest, DeleteTopicsResponse;
    DeleteRecords = 21, flexible 2, 0..=2, DeleteRecordsRequest, DeleteRecordsResponse;
    InitProducerId = 22, flexible 2, 0..=5, InitProducerIdRequest, InitProducerIdResponse;
    OffsetForLeaderEpoch = 23, flexible 4, 2..=4, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse;
    AddPartitionsToTxn = 24, flexible 3, 0..=3, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse;
    AddOffsetsToTxn = 25, flexible 3, 0..=4, AddOffsetsToTxnRequest, AddOffsetsToTxnResponse;
    EndTxn = 26, flexible 3, 0..=5, EndTxnRequest, EndTxnResponse;
    WriteTxnMarkers = 27, flexible 1, 1..=1, WriteTxnMarkersRequest, WriteTxnMarkersResponse;
    TxnOffsetCommit = 28, flexible 3, 0..=5, TxnOffsetCommitRequest, TxnOffsetCommitResponse;
    DescribeAcls = 29, flexible 2, 1..=3, DescribeAclsRequest, DescribeAclsResponse;
    CreateAcls = 30, flexible 2, 1..=3, CreateAclsRequest, CreateAclsResponse;
    DeleteAcls = 31, flexible 2, 1..=3, DeleteAclsRequest, DeleteAclsResponse;
    DescribeConfigs = 32, flexible 4, 1..=4, DescribeConfigsRequest, DescribeConfigsResponse;
    AlterConfigs = 33, flexible 2, 0..=2, AlterConfigsRequest, AlterConfigsResponse;
    AlterReplicaLogDirs = 34, flexible 2, 1..=2, AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse;
    DescribeLogDirs = 35, flexible 2, 1..=4, DescribeLogDirsRequest, DescribeLogDirsResponse;
    SaslAuthenticate = 36, flexible 2, 0..=2, SaslAuthenticateRequest, SaslAuthenticateResponse;
    CreatePartitions = 37, flexible 2, 0..=3, CreatePartitionsRequest, CreatePartitionsResponse;
    CreateDelegationToken = 38, flexible 2, 1..=3, CreateDelegationTokenRequest, CreateDelegationTokenResponse;
    RenewDelegationToken = 39, flexible 2, 1..=2, RenewDelegationTokenRequest, RenewDelegationTokenResponse;
    ExpireDelegationToken = 40, flexible 2, 1..=2, ExpireDelegationTokenRequest, ExpireDelegationTokenResponse;
    DescribeDelegationToken = 41, flexible 2, 1..=3, DescribeDelegationTokenRequest, DescribeDelegationTokenResponse;
    DeleteGroups = 42, flexible 2, 0..=2, DeleteGroupsRequest, DeleteGroupsResponse;
    ElectLeaders = 43, flexible 2, 0..=2, ElectLeadersRequest, ElectLeadersResponse;
    IncrementalAlterConfigs = 44, flexible 1, 0..=1, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse;
    AlterPartitionReassignments = 45, flexible 0, 0..=1, AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse;
    ListPartitionReassignments = 46, flexible 0, 0..=0, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse;
    OffsetDelete = 47, flexible 32767, 0..=0, OffsetDeleteRequest, OffsetDeleteResponse;
    DescribeClientQuotas = 48, flexible 1, 0..=1, DescribeClientQuotasRequest, DescribeClientQuotasResponse;
    AlterClientQuotas = 49, flexible 1, 0..=1, AlterClientQuotasRequest, AlterClientQuotasResponse;
    DescribeUserScramCredentials = 50, flexible 0, 0..=0, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse;
    AlterUserScramCredentials = 51, flexible 0, 0..=0, AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse;
    DescribeQuorum = 55, flexible 0, 0..=2, DescribeQuorumRequest, DescribeQuorumResponse;
    UpdateFeatures = 57, flexible 0, 0..=2, UpdateFeaturesRequest, UpdateFeaturesResponse;
    DescribeCluster = 60, flexible 0, 0..=2, DescribeClusterRequest, DescribeClusterResponse;
    DescribeProducers = 61, flexible 0, 0..=0, DescribeProducersRequest, DescribeProducersResponse;
    DescribeTransactions = 65, flexible 0, 0..=0, DescribeTransactionsRequest, DescribeTransactionsResponse;
    ListTransactions = 66, flexible 0, 0..=2, ListTransactionsRequest, ListTransactionsResponse;
    ConsumerGroupHeartbeat = 68, flexible 0, 0..=1, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse;
    ConsumerGroupDescribe = 69, flexible 0, 0..=1, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse;
    ListConfigResources = 74, flexible 0, 0..=1, ListConfigResourcesRequest, ListConfigResourcesResponse;
    DescribeTopicPartitions = 75, flexible 0, 0..=0, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse;
    ShareGroupHeartbeat = 76, flexible 0, 1..=1, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse;
    ShareGroupDescribe = 77, flexible 0, 1..=1, ShareGroupDescribeRequest, ShareGroupDescribeResponse;
    ShareFetch = 78, flexible 0, 1..=1, ShareFetchRequest, ShareFetchResponse;
    ShareAcknowledge = 79, flexible 0, 1..=1, ShareAcknowledgeRequest, ShareAcknowledgeResponse;
    DescribeShareGroupOffsets = 90, flexible 0, 0..=0, DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse;
    AlterShareGroupOffsets = 91, flexible 0, 0..=0, AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse;
    DeleteShareGroupOffsets = 92, flexible 0, 0..=0, DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse;
}

impl ApiKey {
    /// Returns the key on the wire.
    pub const fn to_wire(self) -> i16 {
        self as i16
    }

    /// Returns true if `version` uses compact types and tagged fields (KIP-482).
    pub const fn is_flexible(self, version: i16) -> bool {
        version >= self.first_flexible()
    }

    /// Returns true if the header of the answer ends in tagged fields. This is never so for
    /// ApiVersions (KIP-511).
    pub const fn has_flexible_answer_header(self, version: i16) -> bool {
        self.is_flexible(version) && !matches!(self, Self::ApiVersions)
    }
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flexible_versions_and_ranges_agree_with_kafka_protocol() {
        for key in ApiKey::ALL.iter().copied() {
            let theirs = messages::ApiKey::try_from(key.to_wire()).unwrap();
            assert_eq!(ApiKey::from_wire(key.to_wire()), Some(key));
            let (known, ours) = (key.known(), key.supported());
            assert!(
                known.min <= ours.min && ours.min <= ours.max && ours.max <= known.max,
                "{key}"
            );
            for version in known.min..=known.max {
                let header = theirs.request_header_version(version);
                assert_eq!(key.is_flexible(version), header == 2, "{key} v{version}");
                let header = theirs.response_header_version(version);
                assert_eq!(
                    key.has_flexible_answer_header(version),
                    header == 1,
                    "{key} v{version}"
                );
            }
        }
    }

    #[test]
    fn every_range_holds_a_version_that_kafka_2_4_serves() {
        // The highest version of each API in Kafka 2.4, for the APIs that it has.
        let newest_in_2_4 = [
            (ApiKey::Produce, 8),
            (ApiKey::Fetch, 11),
            (ApiKey::ListOffsets, 5),
            (ApiKey::Metadata, 9),
            (ApiKey::OffsetCommit, 8),
            (ApiKey::OffsetFetch, 6),
            (ApiKey::FindCoordinator, 3),
            (ApiKey::JoinGroup, 6),
            (ApiKey::Heartbeat, 4),
            (ApiKey::LeaveGroup, 4),
            (ApiKey::SyncGroup, 4),
            (ApiKey::ApiVersions, 3),
            (ApiKey::CreateTopics, 5),
            (ApiKey::DeleteTopics, 4),
            (ApiKey::InitProducerId, 2),
            (ApiKey::OffsetForLeaderEpoch, 3),
        ];
        for (key, newest) in newest_in_2_4 {
            assert!(key.supported().contains(newest), "{key}");
        }
    }
}
