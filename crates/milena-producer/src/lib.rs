//! The way out: records encoded into open batches, sent in order, each ending in exactly one outcome.
