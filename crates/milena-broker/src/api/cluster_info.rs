//! DescribeCluster, which lists the brokers and the controller for administrative tools (KIP-700).

use milena_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use milena_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use crate::context::{Answer, Context, text};

/// Serves a DescribeCluster request.
pub(super) fn handle(context: &Context, request: &DescribeClusterRequest) -> Answer {
    let brokers = context.cluster.up().map(|node| {
        let address = node.address();
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(node.id))
            .with_host(text(address.host()))
            .with_port(i32::from(address.port()))
            .with_rack(node.rack.as_ref().map(|rack| text(rack.as_str())))
    });
    let mut answer = DescribeClusterResponse::default()
        .with_throttle_time_ms(context.throttle_ms())
        .with_cluster_id(text(context.cluster.settings.cluster_id.as_str()))
        .with_controller_id(BrokerId(context.cluster.controller()))
        .with_brokers(brokers.collect());
    if context.version >= 1 {
        answer.endpoint_type = request.endpoint_type;
    }
    if let Err(code) = context.fault() {
        answer.error_code = context.code(code);
    }
    context.answer::<DescribeClusterRequest>(&answer)
}
