//! Groups, with their members, assignments and committed offsets.

mod commit;
mod committed;
mod consumer;
mod coordinator;
mod group_state;
mod join;
mod member;
mod rebalance;
mod reply;
mod state;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;
mod timers;
mod view;

pub(crate) use commit::Committing;
pub(crate) use committed::Committed;
pub(crate) use consumer::{Beat, ConsumerGroup, Description, Places, Timing, World};
pub(crate) use coordinator::Coordinator;
pub use group_state::GroupState;
pub(crate) use join::Joining;
pub(crate) use member::Identity;
pub(crate) use reply::JoinReply;
pub(crate) use state::Group;
pub(crate) use sync::Syncing;
pub use view::{GroupKind, GroupView, MemberView};
