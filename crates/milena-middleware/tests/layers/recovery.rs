//! A panic is handled like any other error.

use milena_core::{Backoff, ErrorClass, Outcome, Text};
use milena_middleware::{RecoveryLayer, RetryLayer, Stack};

use crate::bed::{call, class, incoming};

#[tokio::test]
async fn a_panic_becomes_an_error_that_tells_its_message() {
    let stack = Stack::new()
        .layer(RecoveryLayer::new())
        .handler(async |Text(text): Text| {
            assert_ne!(text, "7", "seven is not for sale");
        });
    let answer = call(&stack, incoming(7)).await;
    assert_eq!(class(&answer), Some(ErrorClass::Panic));
    let text = answer.unwrap_err().to_string();
    assert!(text.contains("seven is not for sale"), "{text}");
    assert_eq!(call(&stack, incoming(8)).await.unwrap(), Outcome::Ack);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_tried_again_inside_retry() {
    let stack = Stack::new()
        .layer(RetryLayer::new(Backoff::default()))
        .layer(RecoveryLayer::new())
        .handler(
            async |milena_core::Attempt(attempt): milena_core::Attempt| {
                assert!(attempt > 2, "not yet");
            },
        );
    assert_eq!(call(&stack, incoming(1)).await.unwrap(), Outcome::Ack);
}
