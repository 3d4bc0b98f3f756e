//! The way in: membership, fetching, lanes, handlers, and the driver that settles offsets.

#![allow(dead_code, reason = "the tasks that use these parts are being built")]

mod assignor;
mod offsets;
mod pauses;
mod subscription;
