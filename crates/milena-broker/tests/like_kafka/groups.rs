//! Refused requests about groups.

use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::*;

use crate::bed::{Client, text, topic};
use crate::refusals::Asked;

pub(crate) async fn groups(client: &mut Client, name: &str) -> Vec<Asked> {
    let group = || GroupId(text(name));
    // The coordinator of a real broker is available a moment after the first request for it.
    loop {
        let find = FindCoordinatorRequest::default().with_key(text(name));
        if client.call(&find, 3).await.error_code == 0 {
            let probe = HeartbeatRequest::default()
                .with_group_id(group())
                .with_member_id(text("x"));
            if !matches!(client.call(&probe, 3).await.error_code, 14..=16) {
                break;
            }
        }
        tokio::task::yield_now().await;
    }
    let mut asked = Vec::new();
    let protocol = join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"));
    let join = |member: &StrBytes| {
        JoinGroupRequest::default()
            .with_group_id(group())
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(10_000)
            .with_member_id(member.clone())
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol.clone()])
    };
    let short = join(&text("")).with_session_timeout_ms(1);
    asked.push((
        "a session too short",
        client.call(&short, 5).await.error_code,
    ));
    asked.push((
        "an unknown member joins",
        client.call(&join(&text("x")), 5).await.error_code,
    ));
    let none = join(&text("")).with_protocols(vec![]);
    asked.push((
        "a join without assignors",
        client.call(&none, 5).await.error_code,
    ));
    let first = client.call(&join(&text("")), 5).await;
    asked.push(("a first join", first.error_code));
    let joined = client.call(&join(&first.member_id), 5).await;
    asked.push(("a join with the id", joined.error_code));
    let beat = |generation, member: &StrBytes| {
        HeartbeatRequest::default()
            .with_group_id(group())
            .with_generation_id(generation)
            .with_member_id(member.clone())
    };
    let id = &joined.member_id;
    asked.push((
        "a heartbeat of a stranger",
        client.call(&beat(1, &text("x")), 3).await.error_code,
    ));
    asked.push((
        "a heartbeat of an old generation",
        client.call(&beat(0, id), 3).await.error_code,
    ));
    asked.push((
        "a heartbeat before the sync",
        client.call(&beat(1, id), 3).await.error_code,
    ));
    let commit = |generation, member: &StrBytes| {
        let partition =
            offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(1);
        let topics = offset_commit_request::OffsetCommitRequestTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![partition]);
        OffsetCommitRequest::default()
            .with_group_id(group())
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(member.clone())
            .with_topics(vec![topics])
    };
    let code = |answer: OffsetCommitResponse| answer.topics[0].partitions[0].error_code;
    asked.push((
        "a commit before the sync",
        code(client.call(&commit(1, id), 7).await),
    ));
    let sync = SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(id.clone());
    asked.push(("a sync", client.call(&sync, 3).await.error_code));
    asked.push((
        "a sync of an old generation",
        client
            .call(&sync.clone().with_generation_id(0), 3)
            .await
            .error_code,
    ));
    asked.push(("a commit", code(client.call(&commit(1, id), 7).await)));
    asked.push((
        "a commit of an old generation",
        code(client.call(&commit(0, id), 7).await),
    ));
    asked.push((
        "a commit of a stranger",
        code(client.call(&commit(1, &text("x")), 7).await),
    ));
    asked.push((
        "a commit from outside",
        code(client.call(&commit(-1, &text("")), 7).await),
    ));
    for (question, metadata) in [
        ("a commit with 4,096 letters", "m".repeat(4096)),
        ("a commit with 4,097 letters", "m".repeat(4097)),
        ("a commit with 2,049 letters of two bytes", "ü".repeat(2049)),
    ] {
        let mut noted = commit(1, id);
        noted.topics[0].partitions[0].committed_metadata = Some(text(&metadata));
        asked.push((question, code(client.call(&noted, 7).await)));
    }
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group()]);
    asked.push((
        "a group in use is deleted",
        client.call(&delete, 1).await.results[0].error_code,
    ));
    let leave = LeaveGroupRequest::default().with_group_id(group());
    asked.push((
        "a stranger leaves",
        client
            .call(&leave.clone().with_member_id(text("x")), 2)
            .await
            .error_code,
    ));
    asked.push((
        "a member leaves",
        client
            .call(&leave.with_member_id(id.clone()), 2)
            .await
            .error_code,
    ));
    asked.push(("a late commit", code(client.call(&commit(1, id), 7).await)));
    asked.push((
        "a group is deleted",
        client.call(&delete, 1).await.results[0].error_code,
    ));
    asked.push((
        "a group is deleted twice",
        client.call(&delete, 1).await.results[0].error_code,
    ));
    asked
}
