//! Connections to a cluster: dialing, handshakes, pipelined requests, pools, metadata, leaders and coordinators.
