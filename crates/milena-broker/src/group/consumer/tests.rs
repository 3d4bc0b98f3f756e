//! Groups of the consumer protocol without a network. Epochs follow their rules, even with members
//! that do anything at any time.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

const TIMING: Timing = Timing {
    session: Duration::from_secs(45),
    interval: Duration::from_secs(5),
};

fn world(counts: &[usize]) -> World {
    let topics = counts.iter().enumerate();
    topics
        .map(|(at, count)| (format!("t{at}"), (Uuid::from_u128(at as u128 + 1), *count)))
        .collect()
}

fn join(id: &str, topics: &[&str]) -> Beat {
    Beat {
        member_id: id.to_owned(),
        rebalance_timeout: Some(Duration::from_secs(60)),
        topics: Some(topics.iter().map(ToString::to_string).collect()),
        owned: Some(Places::new()),
        ..Beat::default()
    }
}

fn beat(id: &str, epoch: i32) -> Beat {
    Beat {
        member_id: id.to_owned(),
        epoch,
        ..Beat::default()
    }
}

fn count(places: &Places) -> usize {
    places.values().map(BTreeSet::len).sum()
}

/// A correct client. It gives back the partitions that it must, and confirms.
#[derive(Default)]
struct Client {
    epoch: i32,
    owned: Places,
    /// The assignment of the last answer, if the client has not applied it yet.
    told: Option<Places>,
}

struct Bench {
    group: ConsumerGroup,
    now: Instant,
    world: World,
    clients: BTreeMap<String, Client>,
}

impl Bench {
    fn new(counts: &[usize]) -> Self {
        Self {
            group: ConsumerGroup::default(),
            now: Instant::now(),
            world: world(counts),
            clients: BTreeMap::new(),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "tests read better so")]
    fn send(&mut self, beat: Beat) -> Result<BeatReply, ErrorCode> {
        let done = self.group.beat(self.now, &beat, &self.world, TIMING);
        self.assert_exclusive();
        done.map_err(|(code, _)| code)
    }

    fn assert_exclusive(&self) {
        let mut seen = BTreeSet::new();
        for member in self.group.members.values() {
            for places in [&member.assigned, &member.revoking] {
                for (topic, partitions) in places {
                    for partition in partitions {
                        assert!(
                            seen.insert((*topic, *partition)),
                            "two members hold {topic} {partition}"
                        );
                    }
                }
            }
        }
        // Clients only use partitions that are theirs, by the last answer they got.
        let mut used = BTreeSet::new();
        for client in self.clients.values().filter(|client| client.epoch > 0) {
            for (topic, partitions) in &client.owned {
                for partition in partitions {
                    assert!(
                        used.insert((*topic, *partition)),
                        "two clients use {topic} {partition}"
                    );
                }
            }
        }
    }

    /// Sends a client's heartbeat. Its answer may get lost.
    fn step(&mut self, id: &str, topics: &[&str], lost: bool) {
        let client = self.clients.entry(id.to_owned()).or_default();
        if let Some(told) = client.told.take() {
            client.owned = told;
        }
        let sent = Beat {
            owned: Some(client.owned.clone()),
            epoch: client.epoch,
            ..join(id, topics)
        };
        let answer = self.send(sent);
        let client = self.clients.entry(id.to_owned()).or_default();
        match answer {
            _ if lost => {}
            Ok(reply) => {
                client.epoch = reply.epoch;
                client.told = reply.assignment;
            }
            Err(_) => *client = Client::default(),
        }
    }

    fn settle(&mut self, topics: &[&str]) {
        let ids: Vec<_> = self.clients.keys().cloned().collect();
        for _ in 0..12 {
            for id in &ids {
                self.step(id, topics, false);
            }
        }
    }
}

#[test]
fn a_first_member_gets_everything_at_once_and_a_second_only_what_was_given_back() {
    let mut bench = Bench::new(&[4]);
    let one = bench.send(join("one", &["t0"])).unwrap();
    assert_eq!(one.epoch, 1);
    let all = one.assignment.unwrap();
    assert_eq!(count(&all), 4);
    let two = bench.send(join("two", &["t0"])).unwrap();
    assert_eq!((two.epoch, two.assignment.map(|a| count(&a))), (2, Some(0)));
    let told = bench.send(beat("one", 1)).unwrap();
    let kept = told.assignment.unwrap();
    assert_eq!(
        (told.epoch, count(&kept)),
        (1, 2),
        "the epoch waits for what is to be given back"
    );
    assert_eq!(bench.send(beat("two", 2)).unwrap().assignment, None);
    let confirmed = Beat {
        owned: Some(kept),
        ..beat("one", 1)
    };
    assert_eq!(bench.send(confirmed).unwrap().epoch, 2);
    let two = bench.send(beat("two", 2)).unwrap();
    assert_eq!(two.assignment.map(|a| count(&a)), Some(2));
}

#[test]
fn an_epoch_ahead_is_fenced_and_the_one_before_only_passes_after_a_lost_answer() {
    let mut bench = Bench::new(&[2]);
    bench.send(join("one", &["t0"])).unwrap();
    assert_eq!(
        bench.send(beat("one", 7)),
        Err(ErrorCode::FENCED_MEMBER_EPOCH)
    );
    bench.send(join("two", &["t0"])).unwrap();
    let kept = bench.send(beat("one", 1)).unwrap().assignment.unwrap();
    let confirmed = Beat {
        owned: Some(kept.clone()),
        ..beat("one", 1)
    };
    assert_eq!(bench.send(confirmed.clone()).unwrap().epoch, 2);
    assert_eq!(
        bench.send(confirmed).unwrap().epoch,
        2,
        "its answer may have been lost"
    );
    assert_eq!(
        bench.send(beat("one", 1)),
        Err(ErrorCode::FENCED_MEMBER_EPOCH)
    );
    assert_eq!(
        bench.send(beat("gone", 3)),
        Err(ErrorCode::UNKNOWN_MEMBER_ID)
    );
}

#[test]
fn requests_that_kafka_refuses_are_refused() {
    let mut bench = Bench::new(&[1]);
    let refused = |bench: &mut Bench, beat: Beat| bench.send(beat).unwrap_err();
    let owning = Beat {
        owned: Some([(Uuid::from_u128(1), [0].into())].into()),
        ..join("one", &["t0"])
    };
    assert_eq!(refused(&mut bench, owning), ErrorCode::INVALID_REQUEST);
    let silent = Beat {
        topics: None,
        ..join("one", &[])
    };
    assert_eq!(refused(&mut bench, silent), ErrorCode::INVALID_REQUEST);
    assert_eq!(
        refused(&mut bench, join("", &["t0"])),
        ErrorCode::INVALID_REQUEST
    );
    let odd = Beat {
        assignor: Some("odd".into()),
        ..join("one", &["t0"])
    };
    assert_eq!(refused(&mut bench, odd), ErrorCode::UNSUPPORTED_ASSIGNOR);
    let wrong = Beat {
        regex: Some("(".into()),
        ..join("one", &["t0"])
    };
    assert_eq!(
        refused(&mut bench, wrong),
        ErrorCode::INVALID_REGULAR_EXPRESSION
    );
    assert_eq!(
        refused(&mut bench, beat("one", -2)),
        ErrorCode::INVALID_REQUEST
    );
}

#[test]
fn a_static_member_comes_back_to_what_it_had_and_its_twin_is_refused() {
    let mut bench = Bench::new(&[4]);
    let fixed = |id: &str| Beat {
        instance_id: Some("pod".into()),
        ..join(id, &["t0"])
    };
    let first = bench.send(fixed("a")).unwrap();
    assert_eq!(
        bench.send(fixed("b")),
        Err(ErrorCode::UNRELEASED_INSTANCE_ID)
    );
    let away = Beat {
        instance_id: Some("pod".into()),
        ..beat("a", -2)
    };
    assert_eq!(bench.send(away).unwrap().epoch, -2);
    let epoch = bench.group.epoch;
    let again = bench.send(fixed("b")).unwrap();
    assert_eq!(again.assignment, first.assignment);
    assert_eq!(bench.group.epoch, epoch, "nobody else notices");
    let old = Beat {
        instance_id: Some("pod".into()),
        ..beat("a", 1)
    };
    assert_eq!(bench.send(old), Err(ErrorCode::FENCED_INSTANCE_ID));
}

#[test]
fn who_does_not_give_back_in_time_is_out_and_so_is_who_falls_silent() {
    let mut bench = Bench::new(&[2]);
    bench.send(join("one", &["t0"])).unwrap();
    bench.send(join("two", &["t0"])).unwrap();
    bench.send(beat("one", 1)).unwrap();
    for _ in 0..20 {
        bench.now += Duration::from_secs(5);
        bench.group.tick(bench.now);
        let _ = bench.send(beat("one", 1));
        let _ = bench.send(beat("two", 2));
    }
    assert_eq!(
        bench.send(beat("one", 1)),
        Err(ErrorCode::UNKNOWN_MEMBER_ID)
    );
    bench.now += Duration::from_secs(46);
    bench.group.tick(bench.now);
    assert!(bench.group.is_empty());
}

#[test]
fn a_pattern_finds_new_topics_and_new_partitions_raise_the_epoch() {
    let mut bench = Bench::new(&[1]);
    let first = Beat {
        topics: None,
        regex: Some("t.".into()),
        ..join("one", &[])
    };
    assert_eq!(count(&bench.send(first).unwrap().assignment.unwrap()), 1);
    bench.world = world(&[2, 1]);
    let next = bench.send(beat("one", 1)).unwrap();
    assert_eq!(
        (next.epoch, next.assignment.map(|a| count(&a))),
        (2, Some(3))
    );
}

#[test]
fn range_gives_runs_and_uniform_keeps_what_it_can() {
    let mut bench = Bench::new(&[4, 4]);
    let ranged = |id: &str| Beat {
        assignor: Some("range".into()),
        ..join(id, &["t0", "t1"])
    };
    bench.send(ranged("a")).unwrap();
    bench.send(ranged("b")).unwrap();
    let target = &bench.group.target;
    let runs: Vec<_> = target["a"]
        .values()
        .map(|p| p.iter().copied().collect::<Vec<_>>())
        .collect();
    assert_eq!(runs, [[0, 1], [0, 1]]);
    let mut bench = Bench::new(&[5]);
    bench.send(join("a", &["t0"])).unwrap();
    let before = bench.group.target["a"].clone();
    bench.send(join("b", &["t0"])).unwrap();
    let kept = &bench.group.target["a"];
    assert!(within(kept, &before) && count(kept) == 3);
}

#[derive(Clone, Debug)]
enum Op {
    Beat { who: u8, lost: bool },
    Leave(u8),
    Crash(u8),
    Wait(u8),
    Grow,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (0u8..5, prop::bool::weighted(0.2)).prop_map(|(who, lost)| Op::Beat { who, lost }),
        1 => (0u8..5).prop_map(Op::Leave),
        1 => (0u8..5).prop_map(Op::Crash),
        2 => (1u8..30).prop_map(Op::Wait),
        1 => Just(Op::Grow),
    ];
    prop::collection::vec(op, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_partition_is_used_by_two_and_a_quiet_group_comes_to_rest(ops in ops()) {
        let mut bench = Bench::new(&[5, 3]);
        let topics = ["t0", "t1"];
        for op in ops {
            match op {
                Op::Beat { who, lost } => bench.step(&who.to_string(), &topics, lost),
                Op::Leave(who) => {
                    let id = who.to_string();
                    if bench.clients.remove(&id).is_some_and(|client| client.epoch > 0) {
                        let _ = bench.send(beat(&id, -1));
                    }
                }
                Op::Crash(who) => drop(bench.clients.remove(&who.to_string())),
                Op::Wait(seconds) => {
                    bench.now += Duration::from_secs(seconds.into());
                    bench.group.tick(bench.now);
                    // A client that gets no answer for a session stops by itself.
                    let gone: Vec<_> = bench.clients.keys().filter(|id| !bench.group.members.contains_key(*id)).cloned().collect();
                    for id in gone { bench.clients.insert(id, Client::default()); }
                }
                Op::Grow => {
                    let count = bench.world["t0"].1;
                    bench.world = world(&[count + 1, 3]);
                }
            }
            bench.assert_exclusive();
        }
        bench.now += Duration::from_secs(44);
        bench.settle(&topics);
        bench.now += Duration::from_secs(2);
        bench.group.tick(bench.now);
        bench.settle(&topics);
        if !bench.clients.is_empty() {
            let total: usize = bench.world.values().map(|(_, count)| count).sum();
            let shares: Vec<_> = bench.clients.values().map(|client| count(&client.owned)).collect();
            prop_assert_eq!(shares.iter().sum::<usize>(), total);
            prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
            prop_assert_eq!(bench.group.state(), crate::group::GroupState::Stable);
        }
    }
}
