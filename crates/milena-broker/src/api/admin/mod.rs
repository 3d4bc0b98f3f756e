//! Administrative requests beside topics, configs and groups.

pub(super) mod elections;
