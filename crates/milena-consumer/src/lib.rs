//! The way in: membership, fetching, lanes, handlers, and the driver that settles offsets.
