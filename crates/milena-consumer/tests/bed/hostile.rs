//! A member that joins by hand and sends any metadata to the leader.

use std::time::Duration;

use bytes::Bytes;
use milena_core::NodeId;
use milena_pool::{Cluster, Connection, OwnConnections, Role};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use milena_protocol::messages::leave_group_request::MemberIdentity;
use milena_protocol::messages::{JoinGroupRequest, LeaveGroupRequest};

use super::Bed;

/// Metadata that is empty, cut short, or has absurd counts or versions, and metadata that claims
/// every partition in a generation far ahead.
pub(crate) const METADATA: [&[u8]; 7] = [
    b"",
    b"\0",
    b"\0\x01\x7f\xff\xff\xff",
    b"\xff\xff\0\0\0\x01\0\x06orders\xff\xff\xff\xff\0\0\0\0",
    b"\0\x01\0\0\0\x01\0\x06orders\xff\xff\xff\xff\x7f\xff\xff\xff",
    b"\0\x02\0\0\0\x01\0\x06orders\xff\xff\xff\xff\0\0\0\x01\0\x06orders\0\0\0\x04\0\0\0\0\0\0\0\x01\xff\xff\xff\xff\x7f\xff\xff\xff\x7f\xff\xff\xff",
    b"\0\x00\0\0\0\x01\0\x06orders\0\0\0\x09\0\0\0\x01\0\x06orde",
];

/// A member that joined by hand.
pub(crate) struct Intruder {
    /// Connection to the coordinator.
    connection: Connection,
    /// Member id that the coordinator gave it.
    id: StrBytes,
    /// Keeps the connection open.
    _cluster: (Cluster, OwnConnections),
}

/// Joins with this metadata, and never sends a sync or a heartbeat.
pub(crate) async fn join(bed: &Bed, assignor: &str, metadata: &'static [u8]) -> Intruder {
    let cluster = bed.cluster("intruder").await;
    let own = OwnConnections::new(cluster.clone());
    let node = bed.broker.inspect().coordinator("billing").unwrap();
    let node = NodeId::from_wire(node).unwrap();
    let connection = own.connection(node, Role::Group).await.unwrap();
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(StrBytes::from_string(assignor.to_owned()))
        .with_metadata(Bytes::from_static(metadata));
    let request = JoinGroupRequest::default()
        .with_group_id(StrBytes::from_static_str("billing").into())
        .with_session_timeout_ms(20_000)
        .with_rebalance_timeout_ms(20_000)
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol]);
    let asked = connection.call(&request).await.unwrap();
    let id = asked.member_id;
    let request = request.with_member_id(id.clone());
    let limit = Duration::from_secs(90);
    let joined = connection.call_with(&request, limit).await.unwrap();
    assert_eq!(joined.error_code, 0);
    Intruder {
        connection,
        id,
        _cluster: (cluster, own),
    }
}

impl Intruder {
    pub(crate) async fn leave(self) {
        let identity = MemberIdentity::default().with_member_id(self.id);
        let request = LeaveGroupRequest::default()
            .with_group_id(StrBytes::from_static_str("billing").into())
            .with_members(vec![identity]);
        self.connection.call(&request).await.unwrap();
    }
}
