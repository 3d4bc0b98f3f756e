//! InitProducerId, which gives ids to idempotent producers. Transactional ids are not modelled.

use milena_core::ErrorCode;
use milena_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::context::{Answer, Context};

/// Serves an InitProducerId request.
pub(super) fn handle(context: &Context, request: &InitProducerIdRequest) -> Answer {
    let answer = InitProducerIdResponse::default().with_throttle_time_ms(context.throttle_ms());
    let transactional = request.transactional_id.as_ref();
    let answer = match context.fault() {
        Err(code) => refused(context, answer, code),
        Ok(()) if transactional.is_some_and(|id| id.is_empty()) => {
            refused(context, answer, ErrorCode::INVALID_REQUEST)
        }
        Ok(()) if transactional.is_some() => {
            refused(context, answer, ErrorCode::UNSUPPORTED_VERSION)
        }
        // Without a transactional id the answer is always a new id, even if the client names its
        // old one (KIP-360).
        Ok(()) => answer
            .with_producer_id(ProducerId(context.cluster.next_producer_id()))
            .with_producer_epoch(0),
    };
    context.answer::<InitProducerIdRequest>(&answer)
}

/// Writes a refusal.
fn refused(
    context: &Context,
    answer: InitProducerIdResponse,
    code: ErrorCode,
) -> InitProducerIdResponse {
    answer
        .with_error_code(context.code(code))
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}
