//! Classification of errors of requests to brokers. After an error that passes, the same request is
//! sent again after a backoff.

use milena_core::{Error, ErrorCode, ErrorKind};

/// Returns true if the same request may succeed later, without any change by the user.
///
/// A broker that answers with UNKNOWN_SERVER_ERROR, with a code that is unknown here, or with
/// unreadable bytes has not answered the question. That is no reason to end a consumer.
pub(crate) fn passes(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Broker(code) => code_passes(code),
        ErrorKind::Decode | ErrorKind::State => true,
        _ => error.is_retriable(),
    }
}

/// Returns true if an error with this code passes, like [`passes`].
pub(crate) fn code_passes(code: ErrorCode) -> bool {
    code.is_retriable()
        || code.is_stale_metadata()
        || code == ErrorCode::UNKNOWN_SERVER_ERROR
        || code.name().is_none()
}

#[cfg(test)]
mod tests {
    use milena_broker::Broker;
    use milena_core::NodeId;
    use milena_pool::{Cluster, OwnConnections, Role};

    use super::*;

    #[test]
    fn what_says_nothing_passes_and_a_refusal_does_not() {
        let unnamed = ErrorCode::from_wire(9_999);
        for code in [unnamed, ErrorCode::from_wire(-1)].into_iter().flatten() {
            assert!(passes(&Error::broker(code)), "{code}");
        }
        assert!(passes(&Error::new(ErrorKind::Decode, "garbled")));
        assert!(passes(&Error::new(ErrorKind::State, "not in the metadata")));
        let refused = Error::broker(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        assert!(!passes(&refused));
    }

    /// A refresh on another thread may remove the coordinator from the metadata between its lookup
    /// and the request to it.
    #[tokio::test]
    async fn a_broker_that_has_just_left_the_metadata_passes() {
        let broker = Broker::builder().start().await.unwrap();
        let cluster = Cluster::builder(broker.bootstrap()).connector(broker.dialer());
        let cluster = cluster.connect().await.unwrap();
        let gone = NodeId::from_wire(7).unwrap();
        let own = OwnConnections::new(cluster.clone());
        for error in [
            own.connection(gone, Role::Heartbeat).await.unwrap_err(),
            cluster.connection(gone, Role::Heartbeat).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::State);
            assert!(passes(&error), "{error}");
        }
    }
}
