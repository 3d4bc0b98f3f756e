//! Tower layers around a handler: recovery, retry, timeout, circuit breaker, dead letter, logging, and the stack that orders them.
