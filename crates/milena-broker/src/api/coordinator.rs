//! FindCoordinator, which names the broker that coordinates a group.

use milena_core::ErrorCode;
use milena_protocol::messages::find_coordinator_response::Coordinator;
use milena_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use crate::context::{Answer, Context, text};

/// Serves a FindCoordinator request.
pub(super) fn handle(context: &Context, request: &FindCoordinatorRequest) -> Answer {
    let mut answer = FindCoordinatorResponse::default();
    if context.version >= 1 {
        answer.throttle_time_ms = context.throttle_ms();
    }
    if context.version >= 4 {
        answer.coordinators = request
            .coordinator_keys
            .iter()
            .map(|key| find(context, key.as_str(), request.key_type))
            .collect();
    } else {
        let found = find(context, request.key.as_str(), request.key_type);
        answer.error_code = found.error_code;
        answer.node_id = found.node_id;
        answer.host = found.host;
        answer.port = found.port;
        if context.version >= 1 {
            answer.error_message = found.error_message;
        }
    }
    context.answer::<FindCoordinatorRequest>(&answer)
}

/// Finds the coordinator of one key.
fn find(context: &Context, key: &str, key_type: i8) -> Coordinator {
    let refused = |code: ErrorCode| {
        Coordinator::default()
            .with_key(text(key))
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(context.code(code))
            .with_error_message(code.name().map(text))
    };
    if let Err(code) = context.fault() {
        return refused(code);
    }
    if key_type != GROUP {
        return refused(ErrorCode::UNSUPPORTED_VERSION);
    }
    if !context.cluster.keeps_groups() {
        return refused(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    }
    let Some(node) = context.cluster.coordinator(key) else {
        return refused(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    };
    let address = node.address();
    Coordinator::default()
        .with_key(text(key))
        .with_node_id(BrokerId(node.id))
        .with_host(text(address.host()))
        .with_port(i32::from(address.port()))
}

/// The key type of groups. Type 1 is for transactions and type 2 for share groups, which are not
/// modelled.
const GROUP: i8 = 0;
