//! Connections to a cluster: dialing, handshakes, pipelined requests, pools, metadata, leaders and coordinators.
//!
//! [`Connection`] is one connection to one broker.

mod connect;
mod connection;
mod driver;
mod frames;
mod handshake;
mod node_backoff;
mod options;
mod outgoing;
mod rtt;
mod tasks;
mod tcp;
mod throttle;
mod writes;

pub use connect::{BoxFuture, BoxStream, Connect, Stream};
pub use connection::Connection;
pub use handshake::{ApiVersionsStep, HandshakeStep, Link};
pub use options::ConnectionOptions;
pub use outgoing::Answer;
pub use tcp::TcpConnect;
