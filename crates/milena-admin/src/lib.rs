//! Typed administration verbs with a result per item.
