//! Groups, with their members, assignments and committed offsets.

mod commit;
mod consumer;
mod coordinator;
mod join;
mod member;
mod rebalance;
mod state;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;
mod timers;
mod view;

pub(crate) use commit::{Committed, Committing};
pub(crate) use consumer::{Beat, ConsumerGroup, Places, Refused, Timing, World};
pub(crate) use coordinator::Coordinator;
pub(crate) use join::{JoinReply, Joining};
pub(crate) use member::Identity;
pub(crate) use state::Group;
pub(crate) use sync::Syncing;
pub use view::{GroupState, GroupView, MemberView};
