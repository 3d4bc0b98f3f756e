//! The test kit: a client and a broker in one process, with the clock paused.
