//! Groups: listing, describing, deleting.

mod delete;
mod describe;
mod each;
mod list;
mod members;
mod types;

pub use list::ListGroups;
pub use types::{
    GroupDescription, GroupListing, GroupListings, GroupState, GroupType, MemberDescription,
};

pub(crate) use each::{GroupVerb, each_told};
