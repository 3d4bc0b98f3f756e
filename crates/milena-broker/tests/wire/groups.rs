//! Groups over the wire, with joins, syncs, commits and moved coordinators.

use std::time::Duration;

use crate::bed::{Client, brokers, code, text, topic};
use bytes::Bytes;
use milena_broker::{ApiKey, Broker, ErrorCode, Fault, GroupState};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use milena_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use milena_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use milena_protocol::messages::*;

fn group() -> GroupId {
    GroupId(text("group"))
}

fn join(member: &StrBytes) -> JoinGroupRequest {
    let range = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"x"));
    JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(30_000)
        .with_member_id(member.clone())
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![range])
}

fn sync(joined: &JoinGroupResponse, parts: &[(&StrBytes, &'static str)]) -> SyncGroupRequest {
    let parts = parts.iter().map(|(id, part)| {
        SyncGroupRequestAssignment::default()
            .with_member_id((*id).clone())
            .with_assignment(Bytes::from_static(part.as_bytes()))
    });
    SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(parts.collect())
}

fn commit(generation: i32, member: &StrBytes, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topics = OffsetCommitRequestTopic::default()
        .with_name(topic("orders"))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(member.clone())
        .with_topics(vec![topics])
}

fn committed(answer: &OffsetCommitResponse) -> Option<ErrorCode> {
    code(answer.topics[0].partitions[0].error_code)
}

/// Gets a member id, then joins with it.
async fn enter(client: &mut Client) -> JoinGroupResponse {
    let first = client.call(&join(&StrBytes::default()), 9).await;
    assert_eq!(code(first.error_code), Some(ErrorCode::MEMBER_ID_REQUIRED));
    client.call(&join(&first.member_id), 9).await
}

async fn start(count: usize) -> (Broker, i32) {
    let broker = brokers(count, "orders", 2).await;
    let coordinator = broker.inspect().coordinator("group").unwrap();
    (broker, coordinator)
}

/// Starts a broker and a client that is the only member of a stable group.
async fn with_one_member() -> (Broker, Client, JoinGroupResponse) {
    let (broker, node) = start(1).await;
    let mut client = Client::to(&broker, node).await;
    let joined = enter(&mut client).await;
    client
        .call(&sync(&joined, &[(&joined.member_id, "all")]), 5)
        .await;
    (broker, client, joined)
}

#[tokio::test(start_paused = true)]
async fn two_members_share_a_group_and_commit() {
    let (broker, node) = start(1).await;
    let (mut a, mut b) = (
        Client::to(&broker, node).await,
        Client::to(&broker, node).await,
    );
    let first = enter(&mut a).await;
    let member_b = b.call(&join(&StrBytes::default()), 9).await.member_id;
    b.send(&join(&member_b), 9).await;
    broker
        .journal()
        .wait_for(|entry| entry.api() == ApiKey::JoinGroup && entry.number() == 3)
        .await;
    let second = a.call(&join(&first.member_id), 9).await;
    b.frame().await.unwrap();
    assert_eq!((second.generation_id, second.members.len()), (2, 2));
    let mut follower = second.clone();
    follower.member_id = member_b.clone();
    b.send(&sync(&follower, &[]), 5).await;
    let parts = [(&first.member_id, "one"), (&member_b, "two")];
    assert_eq!(
        &a.call(&sync(&second, &parts), 5).await.assignment[..],
        b"one"
    );
    let frame = b.frame().await.unwrap();
    assert!(frame.windows(3).any(|bytes| bytes == b"two"));
    assert_eq!(
        broker.inspect().group("group").unwrap().state,
        GroupState::Stable
    );

    assert_eq!(committed(&b.call(&commit(2, &member_b, 7), 8).await), None);
    assert_eq!(
        committed(&b.call(&commit(1, &member_b, 9), 8).await),
        Some(ErrorCode::ILLEGAL_GENERATION)
    );
    let outside = b.call(&commit(-1, &StrBytes::default(), 9), 8).await;
    assert_eq!(committed(&outside), Some(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(
        broker
            .inspect()
            .committed("group", "orders", 0)
            .unwrap()
            .to_wire(),
        7
    );
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(group())
        .with_topics(None);
    let fetched = b
        .call(&OffsetFetchRequest::default().with_groups(vec![asked]), 8)
        .await;
    assert_eq!(
        fetched.groups[0].topics[0].partitions[0].committed_offset,
        7
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_member_is_gone_after_its_session() {
    let (broker, mut client, joined) = with_one_member().await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    let beat = HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id);
    let answer = client.call(&beat, 4).await;
    assert_eq!(code(answer.error_code), Some(ErrorCode::UNKNOWN_MEMBER_ID));
    assert!(
        broker
            .inspect()
            .group("group")
            .is_none_or(|group| group.members.is_empty())
    );
}

#[tokio::test(start_paused = true)]
async fn a_moved_coordinator_sends_parked_joins_on_and_keeps_the_members() {
    let (broker, node) = start(2).await;
    let other = node % 2 + 1;
    let mut client = Client::to(&broker, node).await;
    let joined = enter(&mut client).await;
    client
        .send(
            &sync(&joined, &[]).with_member_id(joined.member_id.clone()),
            5,
        )
        .await;
    client.frame().await.unwrap();
    let mut late = Client::to(&broker, node).await;
    let id = late.call(&join(&StrBytes::default()), 9).await.member_id;
    late.send(&join(&id), 9).await;
    broker
        .journal()
        .wait_for(|entry| entry.api() == ApiKey::JoinGroup && entry.number() == 4)
        .await;
    broker.inspect().move_coordinator("group", other);
    late.frame().await.unwrap();
    let answer = client.call(&commit(1, &joined.member_id, 3), 8).await;
    assert_eq!(committed(&answer), Some(ErrorCode::NOT_COORDINATOR));
    let mut there = Client::to(&broker, other).await;
    assert_eq!(
        committed(&there.call(&commit(1, &joined.member_id, 3), 8).await),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_with_members_cannot_be_deleted_and_an_empty_one_can() {
    let (broker, mut client, joined) = with_one_member().await;
    client.call(&commit(1, &joined.member_id, 3), 8).await;
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group()]);
    let code = |answer: DeleteGroupsResponse| code(answer.results[0].error_code);
    assert_eq!(
        code(client.call(&delete, 2).await),
        Some(ErrorCode::NON_EMPTY_GROUP)
    );
    let member = leave_group_request::MemberIdentity::default().with_member_id(joined.member_id);
    let leave = LeaveGroupRequest::default()
        .with_group_id(group())
        .with_members(vec![member]);
    assert_eq!(client.call(&leave, 5).await.members[0].error_code, 0);
    assert_eq!(broker.inspect().groups(), ["group"], "its offsets are kept");
    assert_eq!(code(client.call(&delete, 2).await), None);
    assert_eq!(
        code(client.call(&delete, 2).await),
        Some(ErrorCode::GROUP_ID_NOT_FOUND)
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_filter_picks_its_group() {
    let (broker, node) = start(1).await;
    let mut client = Client::to(&broker, node).await;
    broker.faults().add(
        Fault::error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)
            .group("group")
            .on(ApiKey::JoinGroup),
    );
    let mut other = join(&StrBytes::default());
    other.group_id = GroupId(text("other"));
    let answer = client.call(&other, 9).await;
    assert_eq!(code(answer.error_code), Some(ErrorCode::MEMBER_ID_REQUIRED));
    let answer = client.call(&join(&StrBytes::default()), 9).await;
    assert_eq!(
        code(answer.error_code),
        Some(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)
    );
    broker.faults().assert_all_fired();
}

#[tokio::test(start_paused = true)]
async fn committed_offsets_are_told_to_members_of_this_epoch_and_to_those_who_name_nobody() {
    let broker = Broker::builder().topic("orders", 2).start();
    let broker = broker.await.unwrap();
    let node = broker.inspect().coordinator("group").unwrap();
    let mut client = Client::to(&broker, node).await;
    let ask = |member: Option<StrBytes>, epoch: i32| {
        let asked = OffsetFetchRequestGroup::default()
            .with_group_id(group())
            .with_member_id(member)
            .with_member_epoch(epoch)
            .with_topics(None);
        OffsetFetchRequest::default().with_groups(vec![asked])
    };
    let told = |answer: OffsetFetchResponse| code(answer.groups.first()?.error_code);
    let fresh = client.call(&ask(Some(text("member")), 3), 9).await;
    assert_eq!(told(fresh), None, "nobody knows the group");

    let beat = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(text("member"))
        .with_rebalance_timeout_ms(30_000)
        .with_subscribed_topic_names(Some(vec![topic("orders")]))
        .with_topic_partitions(Some(Vec::new()));
    let epoch = client.call(&beat, 1).await.member_epoch;
    assert!(epoch > 0);
    let stale = Some(ErrorCode::STALE_MEMBER_EPOCH);
    let unknown = Some(ErrorCode::UNKNOWN_MEMBER_ID);
    for (member, epoch, expected) in [
        (Some(text("member")), epoch, None),
        (None, -1, None),
        (Some(text("member")), epoch - 1, stale),
        (Some(text("member")), epoch + 1, stale),
        (Some(text("member")), -1, stale),
        (Some(text("another")), epoch, unknown),
        (None, epoch, unknown),
    ] {
        let answer = client.call(&ask(member.clone(), epoch), 9).await;
        assert_eq!(told(answer), expected, "{member:?} of {epoch}");
    }
    let both = vec![
        ask(Some(text("another")), epoch).groups.remove(0),
        ask(Some(text("member")), epoch).groups.remove(0),
    ];
    let request = OffsetFetchRequest::default().with_groups(both);
    let codes = client.call(&request, 9).await.groups;
    let codes: Vec<_> = codes.iter().map(|group| group.error_code).collect();
    assert_eq!(codes, [ErrorCode::UNKNOWN_MEMBER_ID.to_wire(), 0]);

    let leave = beat.with_member_epoch(-1);
    client.call(&leave, 1).await;
    let gone = client.call(&ask(Some(text("member")), epoch), 9).await;
    assert_eq!(told(gone), Some(ErrorCode::UNKNOWN_MEMBER_ID));
}

#[tokio::test(start_paused = true)]
async fn a_classic_member_may_read_committed_offsets_in_any_generation() {
    let (broker, node) = start(1).await;
    let mut client = Client::to(&broker, node).await;
    let joined = enter(&mut client).await;
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(group())
        .with_member_id(Some(joined.member_id))
        .with_member_epoch(joined.generation_id + 7)
        .with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![asked]);
    assert_eq!(client.call(&request, 9).await.groups[0].error_code, 0);
}
