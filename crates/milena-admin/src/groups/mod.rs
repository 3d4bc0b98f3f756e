//! Groups: listed, described, deleted.

mod delete;
mod describe;
mod list;
mod members;
mod types;

pub use list::ListGroups;
pub use types::{
    GroupDescription, GroupListing, GroupListings, GroupState, GroupType, MemberDescription,
};
