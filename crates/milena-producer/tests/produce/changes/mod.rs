//! The cluster changes while a producer produces. No record is lost, written twice or out of order,
//! and none waits for ever.

mod leaders;
mod replicas;
mod storm;
mod topics;
