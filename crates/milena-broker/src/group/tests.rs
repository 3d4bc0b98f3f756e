//! The state machine of groups, step by step.
