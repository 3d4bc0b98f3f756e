//! Administrative requests other than those for topics, configs and groups.

pub(super) mod elections;
