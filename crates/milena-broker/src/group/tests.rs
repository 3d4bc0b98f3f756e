//! The state machine of classic groups, step by step.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use bytes::Bytes;
use milena_core::ErrorCode;
use proptest::prelude::*;
use tokio::time::Instant;

use super::commit::Committing;
use super::group_state::GroupState;
use super::join::Joining;
use super::member::Identity;
use super::reply::{JoinReply, Reply, Synced};
use super::state::Group;
use super::sync::Syncing;
use super::view::GroupView;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);

/// A group at a time that the test moves.
struct Stage {
    group: Group,
    now: Instant,
    next_ticket: u64,
}

fn who(id: &str) -> Identity {
    Identity {
        member_id: id.to_owned(),
        instance_id: None,
    }
}

fn instance(id: &str, instance: &str) -> Identity {
    Identity {
        member_id: id.to_owned(),
        instance_id: Some(instance.to_owned()),
    }
}

/// Returns the join of `who` with these assignors. A new member would get the id `new_id`.
fn joining(who: Identity, new_id: &str, protocols: &[&str]) -> Joining {
    Joining {
        who,
        new_id: new_id.to_owned(),
        id_first: false,
        can_skip: true,
        client_id: "test".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: "consumer".to_owned(),
        protocols: protocols
            .iter()
            .map(|name| ((*name).to_owned(), Bytes::from_static(b"topics")))
            .collect(),
        initial_delay: Duration::ZERO,
    }
}

impl Stage {
    fn new() -> Self {
        Self {
            group: Group::new(),
            now: Instant::now(),
            next_ticket: 0,
        }
    }

    fn join(&mut self, request: Joining) -> u64 {
        self.next_ticket += 1;
        self.group.join(self.now, request, self.next_ticket);
        self.next_ticket
    }

    fn sync(&mut self, id: &str, assignments: &[(&str, &'static str)]) -> u64 {
        self.next_ticket += 1;
        let request = Syncing {
            who: who(id),
            generation: GroupView::of(&self.group).generation,
            assignments: assignments
                .iter()
                .map(|(id, part)| ((*id).to_owned(), Bytes::from_static(part.as_bytes())))
                .collect(),
            ..Syncing::default()
        };
        self.group.sync(self.now, request, self.next_ticket);
        self.next_ticket
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.group.tick(self.now);
    }

    fn joined(&mut self) -> Vec<(u64, JoinReply)> {
        let replies = self.group.take_replies().into_iter();
        replies
            .filter_map(|(ticket, reply)| match reply {
                Reply::Join(reply) => Some((ticket, reply)),
                Reply::Sync(_) => None,
            })
            .collect()
    }

    fn synced(&mut self) -> Vec<(u64, Result<Synced, ErrorCode>)> {
        let replies = self.group.take_replies().into_iter();
        replies
            .filter_map(|(ticket, reply)| match reply {
                Reply::Sync(reply) => Some((ticket, reply)),
                Reply::Join(_) => None,
            })
            .collect()
    }

    /// Makes a stable group of the members `a` (the leader) and `b`.
    fn stable_pair() -> Self {
        let mut stage = Self::new();
        stage.join(joining(who(""), "a", &["range"]));
        stage.join(joining(who(""), "b", &["range"]));
        stage.join(joining(who("a"), "", &["range"]));
        stage.sync("a", &[("a", "one"), ("b", "two")]);
        stage.sync("b", &[]);
        stage.group.take_replies();
        assert_eq!(stage.state(), GroupState::Stable);
        stage
    }

    fn state(&self) -> GroupState {
        GroupView::of(&self.group).state
    }

    fn heartbeat(&mut self, id: &str) -> Result<(), ErrorCode> {
        let generation = GroupView::of(&self.group).generation;
        self.group.heartbeat(self.now, &who(id), generation)
    }
}

#[test]
fn the_first_member_leads_generation_one_at_once() {
    let mut stage = Stage::new();
    let ticket = stage.join(joining(who(""), "a", &["range", "sticky"]));
    let (answered, reply) = stage.joined().remove(0);
    assert_eq!(answered, ticket);
    assert_eq!((reply.error, reply.generation), (None, 1));
    assert_eq!(
        (reply.leader.as_str(), reply.member_id.as_str()),
        ("a", "a")
    );
    assert_eq!(reply.protocol.as_deref(), Some("range"));
    assert_eq!(reply.members.len(), 1);
    assert_eq!(stage.state(), GroupState::CompletingRebalance);
}

#[test]
fn a_new_member_is_first_told_its_id() {
    let mut stage = Stage::new();
    let mut request = joining(who(""), "a", &["range"]);
    request.id_first = true;
    stage.join(request);
    let (_, reply) = stage.joined().remove(0);
    assert_eq!(reply.error, Some(ErrorCode::MEMBER_ID_REQUIRED));
    assert_eq!(reply.member_id, "a");
    stage.join(joining(who("a"), "", &["range"]));
    assert_eq!(stage.joined()[0].1.error, None);
}

#[test]
fn an_id_that_is_never_used_is_forgotten() {
    let mut stage = Stage::new();
    let mut request = joining(who(""), "a", &["range"]);
    request.id_first = true;
    stage.join(request);
    stage.joined();
    stage.pass(SESSION);
    stage.join(joining(who("a"), "", &["range"]));
    assert_eq!(
        stage.joined()[0].1.error,
        Some(ErrorCode::UNKNOWN_MEMBER_ID)
    );
    assert!(stage.group.is_forgettable());
}

#[test]
fn a_join_waits_until_every_member_has_joined_again() {
    let mut stage = Stage::new();
    stage.join(joining(who(""), "a", &["range"]));
    stage.sync("a", &[("a", "all")]);
    stage.group.take_replies();
    stage.join(joining(who(""), "b", &["range"]));
    assert!(stage.joined().is_empty());
    assert_eq!(stage.heartbeat("a"), Err(ErrorCode::REBALANCE_IN_PROGRESS));
    stage.join(joining(who("a"), "", &["range"]));
    let replies = stage.joined();
    assert_eq!(replies.len(), 2);
    assert!(
        replies
            .iter()
            .all(|(_, reply)| reply.generation == 2 && reply.leader == "a")
    );
}

#[test]
fn a_member_that_does_not_rejoin_is_left_behind_at_the_rebalance_timeout() {
    let mut stage = Stage::stable_pair();
    stage.join(joining(who("a"), "", &["range", "sticky"]));
    for _ in 0..12 {
        // It sends heartbeats, but never joins.
        let _ = stage.heartbeat("b");
        stage.pass(Duration::from_secs(5));
    }
    let replies = stage.joined();
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].1.members.len(), 1);
    assert_eq!(stage.heartbeat("b"), Err(ErrorCode::UNKNOWN_MEMBER_ID));
}

#[test]
fn the_leader_s_assignment_answers_everybody() {
    let mut stage = Stage::new();
    stage.join(joining(who(""), "a", &["range"]));
    stage.join(joining(who(""), "b", &["range"]));
    stage.join(joining(who("a"), "", &["range"]));
    stage.group.take_replies();
    let follower = stage.sync("b", &[]);
    assert!(stage.synced().is_empty());
    let leader = stage.sync("a", &[("a", "one"), ("b", "two")]);
    let parts: Vec<_> = stage
        .synced()
        .into_iter()
        .map(|(t, reply)| (t, reply.unwrap().assignment))
        .collect();
    assert!(parts.contains(&(leader, Bytes::from_static(b"one"))));
    assert!(parts.contains(&(follower, Bytes::from_static(b"two"))));
    assert_eq!(stage.heartbeat("b"), Ok(()));
}

#[test]
fn a_silent_member_is_expelled_when_its_session_ends() {
    let mut stage = Stage::stable_pair();
    stage.pass(SESSION - Duration::from_secs(1));
    assert_eq!(stage.heartbeat("a"), Ok(()));
    assert!(
        stage
            .group
            .next_deadline()
            .is_some_and(|at| at <= stage.now + Duration::from_secs(1))
    );
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.state(), GroupState::PreparingRebalance);
    assert_eq!(stage.heartbeat("b"), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(stage.heartbeat("a"), Err(ErrorCode::REBALANCE_IN_PROGRESS));
}

#[test]
fn a_member_that_leaves_makes_the_rest_rebalance() {
    let mut stage = Stage::stable_pair();
    stage.group.leave(stage.now, &who("a")).unwrap();
    assert_eq!(stage.state(), GroupState::PreparingRebalance);
    stage.join(joining(who("b"), "", &["range"]));
    let (_, reply) = stage.joined().remove(0);
    assert_eq!((reply.leader.as_str(), reply.generation), ("b", 3));
    stage.group.leave(stage.now, &who("b")).unwrap();
    assert_eq!(stage.state(), GroupState::Empty);
    assert_eq!(
        stage.group.leave(stage.now, &who("b")),
        Err(ErrorCode::UNKNOWN_MEMBER_ID)
    );
}

#[test]
fn members_without_a_common_assignor_are_refused() {
    let mut stage = Stage::stable_pair();
    stage.join(joining(who(""), "c", &["sticky"]));
    assert_eq!(
        stage.joined()[0].1.error,
        Some(ErrorCode::INCONSISTENT_GROUP_PROTOCOL)
    );
    let mut other_type = joining(who(""), "c", &["range"]);
    other_type.protocol_type = "connect".to_owned();
    stage.join(other_type);
    assert_eq!(
        stage.joined()[0].1.error,
        Some(ErrorCode::INCONSISTENT_GROUP_PROTOCOL)
    );
    assert_eq!(stage.state(), GroupState::Stable);
}

#[test]
fn the_assignor_that_all_know_wins_over_the_favourite_of_one() {
    let mut stage = Stage::new();
    stage.join(joining(who(""), "a", &["sticky", "range"]));
    stage.join(joining(who(""), "b", &["range"]));
    stage.join(joining(who("a"), "", &["sticky", "range"]));
    let last = stage.joined().pop().unwrap().1;
    assert_eq!(last.protocol.as_deref(), Some("range"));
}

#[test]
fn a_repeated_join_of_a_follower_changes_nothing() {
    let mut stage = Stage::stable_pair();
    stage.join(joining(who("b"), "", &["range"]));
    let (_, reply) = stage.joined().remove(0);
    assert_eq!((reply.error, reply.generation), (None, 2));
    assert_eq!(stage.state(), GroupState::Stable);
}

#[test]
fn a_join_of_the_leader_begins_a_rebalance() {
    let mut stage = Stage::stable_pair();
    stage.join(joining(who("a"), "", &["range"]));
    assert!(stage.joined().is_empty());
    assert_eq!(stage.state(), GroupState::PreparingRebalance);
}

#[test]
fn an_old_generation_may_neither_beat_nor_commit() {
    let mut stage = Stage::stable_pair();
    assert_eq!(
        stage.group.heartbeat(stage.now, &who("a"), 1),
        Err(ErrorCode::ILLEGAL_GENERATION)
    );
    let commit = |id: &str, generation| Committing {
        who: who(id),
        generation,
    };
    assert_eq!(
        stage.group.may_commit(stage.now, &commit("a", 1)),
        Err(ErrorCode::ILLEGAL_GENERATION)
    );
    assert_eq!(
        stage.group.may_commit(stage.now, &commit("x", 2)),
        Err(ErrorCode::UNKNOWN_MEMBER_ID)
    );
    assert_eq!(
        stage.group.may_commit(stage.now, &commit("", -1)),
        Err(ErrorCode::UNKNOWN_MEMBER_ID)
    );
    assert_eq!(stage.group.may_commit(stage.now, &commit("a", 2)), Ok(()));
    assert_eq!(Group::new().may_commit(stage.now, &commit("", -1)), Ok(()));
}

#[test]
fn a_member_may_commit_while_the_others_rejoin_but_not_before_it_has_its_part() {
    let mut stage = Stage::stable_pair();
    let commit = |generation| Committing {
        who: who("b"),
        generation,
    };
    stage.join(joining(who("a"), "", &["range"]));
    assert_eq!(stage.group.may_commit(stage.now, &commit(2)), Ok(()));
    stage.join(joining(who("b"), "", &["range"]));
    assert_eq!(stage.state(), GroupState::CompletingRebalance);
    assert_eq!(
        stage.group.may_commit(stage.now, &commit(3)),
        Err(ErrorCode::REBALANCE_IN_PROGRESS)
    );
}

#[test]
fn a_restarted_static_member_takes_its_place_without_a_rebalance() {
    let mut stage = Stage::new();
    stage.join(joining(instance("", "one"), "one-1", &["range"]));
    stage.sync_static("one-1", "one");
    stage.join(joining(instance("", "one"), "one-2", &["range"]));
    let (_, reply) = stage.joined().remove(0);
    assert_eq!((reply.generation, reply.member_id.as_str()), (1, "one-2"));
    assert!(reply.skip_assignment && reply.leader == "one-2");
    assert_eq!(stage.state(), GroupState::Stable);
    assert_eq!(
        stage
            .group
            .heartbeat(stage.now, &instance("one-1", "one"), 1),
        Err(ErrorCode::FENCED_INSTANCE_ID)
    );
    assert_eq!(
        stage
            .group
            .heartbeat(stage.now, &instance("one-2", "one"), 1),
        Ok(())
    );
}

#[test]
fn a_second_holder_of_a_static_identity_fences_the_parked_first() {
    let mut stage = Stage::new();
    stage.join(joining(who(""), "a", &["range"]));
    stage.group.take_replies();
    let parked = stage.join(joining(instance("", "one"), "one-1", &["range"]));
    stage.join(joining(instance("", "one"), "one-2", &["range"]));
    let (ticket, reply) = stage.joined().remove(0);
    assert_eq!(
        (ticket, reply.error),
        (parked, Some(ErrorCode::FENCED_INSTANCE_ID))
    );
}

#[test]
fn the_first_rebalance_waits_for_more_members_where_told_to() {
    let mut stage = Stage::new();
    let delayed = |id| {
        let mut request = joining(who(""), id, &["range"]);
        request.initial_delay = Duration::from_secs(3);
        request
    };
    stage.join(delayed("a"));
    stage.pass(Duration::from_secs(2));
    stage.join(delayed("b"));
    stage.pass(Duration::from_secs(2));
    assert!(
        stage.joined().is_empty(),
        "the second member extends the wait"
    );
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.joined().len(), 2);
}

#[test]
fn members_that_never_sync_are_expelled() {
    let mut stage = Stage::new();
    stage.join(joining(who(""), "a", &["range"]));
    stage.join(joining(who(""), "b", &["range"]));
    stage.join(joining(who("a"), "", &["range"]));
    stage.group.take_replies();
    stage.sync("b", &[]);
    for _ in 0..12 {
        let _ = stage.heartbeat("a");
        stage.pass(Duration::from_secs(5));
    }
    assert_eq!(stage.synced()[0].1, Err(ErrorCode::REBALANCE_IN_PROGRESS));
    let members = GroupView::of(&stage.group).members;
    assert_eq!(
        members
            .iter()
            .map(|member| member.id.as_str())
            .collect::<Vec<_>>(),
        ["b"]
    );
}

impl Stage {
    fn sync_static(&mut self, id: &str, name: &str) {
        let request = Syncing {
            who: instance(id, name),
            generation: 1,
            assignments: vec![(id.to_owned(), Bytes::from_static(b"all"))],
            ..Syncing::default()
        };
        self.group.sync(self.now, request, 99);
        self.group.take_replies();
    }
}

/// The next action of a random client.
#[derive(Clone, Debug)]
enum Move {
    Join(usize),
    Sync(usize),
    Heartbeat(usize),
    Leave(usize),
    Pass(u64),
    Release,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let member = 0usize..4;
    prop::collection::vec(
        prop_oneof![
            4 => member.clone().prop_map(Move::Join),
            4 => member.clone().prop_map(Move::Sync),
            2 => member.clone().prop_map(Move::Heartbeat),
            1 => member.prop_map(Move::Leave),
            1 => (0u64..20).prop_map(Move::Pass),
            1 => Just(Move::Release),
        ],
        1..60,
    )
}

proptest! {
    #[test]
    fn every_parked_request_is_answered_once_and_generations_only_rise(moves in moves()) {
        let ids = ["a", "b", "c", "d"];
        let mut stage = Stage::new();
        let mut answered = std::collections::HashSet::new();
        let mut generation = 0;
        for step in moves {
            match step {
                Move::Join(at) if stage.group.has(ids[at]) => {
                    stage.join(joining(who(ids[at]), "", &["range"]));
                }
                Move::Join(at) => {
                    stage.join(joining(who(""), ids[at], &["range"]));
                }
                Move::Sync(at) => {
                    stage.sync(ids[at], &[(ids[at], "part")]);
                }
                Move::Heartbeat(at) => {
                    let _ = stage.heartbeat(ids[at]);
                }
                Move::Leave(at) => {
                    let _ = stage.group.leave(stage.now, &who(ids[at]));
                }
                Move::Pass(seconds) => stage.pass(Duration::from_secs(seconds)),
                Move::Release => stage.group.release(stage.now, ErrorCode::NOT_COORDINATOR),
            }
            for (ticket, _) in stage.group.take_replies() {
                prop_assert!(answered.insert(ticket), "ticket {} was answered twice", ticket);
            }
            let view = GroupView::of(&stage.group);
            prop_assert!(view.generation >= generation);
            generation = view.generation;
            prop_assert_eq!(view.state == GroupState::Empty, view.members.is_empty());
            let led = view.leader.is_none_or(|leader| view.members.iter().any(|member| member.id == leader));
            prop_assert!(led, "the leader is no member");
        }
        // Every parked request is answered once all clients fall silent.
        for _ in 0..40 {
            stage.pass(Duration::from_secs(10));
            for (ticket, _) in stage.group.take_replies() {
                prop_assert!(answered.insert(ticket));
            }
        }
        prop_assert_eq!(answered.len() as u64, stage.next_ticket);
        prop_assert_eq!(stage.state(), GroupState::Empty);
    }
}
