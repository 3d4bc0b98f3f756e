//! Runs the programs like a user, on an embedded broker, each in a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use milena::broker::Broker;

/// A time longer than any program takes.
const DEADLINE: Duration = Duration::from_secs(60);

fn program(path: &str, bootstrap: &str) -> Command {
    let mut command = Command::new(path);
    command
        .env("MILENA_BOOTSTRAP", bootstrap)
        .env_remove("ORDERS")
        .env_remove("TOPIC_PREFIX");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A process that ends even if the test fails.
struct Process(Option<Child>);

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Process {
    fn start(mut command: Command) -> Self {
        Self(Some(command.spawn().unwrap()))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    /// Returns the next lines, up to one for which `wanted` returns true.
    fn read_until(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut reader = BufReader::new(self.child().stdout.take().unwrap());
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(
                reader.read_line(&mut line).unwrap() > 0,
                "it ended early: {lines:?}"
            );
            let done = wanted(&line);
            lines.push(line.trim_end().to_owned());
            if done {
                self.child().stdout = Some(reader.into_inner());
                return lines;
            }
        }
    }

    fn terminate(&mut self) {
        let id = self.child().id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the end of the process, and returns its output.
    fn output(mut self) -> Output {
        let child = self.0.take().unwrap();
        let id = child.id().to_string();
        let (done, ended) = mpsc::channel();
        let watchdog = std::thread::spawn(move || {
            if ended.recv_timeout(DEADLINE).is_err() {
                let _ = Command::new("kill").args(["-KILL", &id]).status();
            }
        });
        let output = child.wait_with_output().unwrap();
        done.send(()).unwrap();
        watchdog.join().unwrap();
        output
    }
}

fn text(output: &Output) -> String {
    let [out, error] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}\n{error}")
}

#[test]
fn the_order_system_ends_by_itself_with_sums_that_agree() {
    let mut command = program(env!("CARGO_BIN_EXE_order-system"), "");
    command.env("ORDERS", "1000");
    let output = command.output().unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    let row = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.contains(&format!("| {name}")));
        let line = line.unwrap_or_else(|| panic!("no row {name} in {text}"));
        let number = line.split('|').nth(2).unwrap().trim().replace(',', "");
        number.parse::<u64>().unwrap()
    };
    // Of a thousand orders, four are not JSON and two have no items.
    assert_eq!(
        (row("placed"), row("paid"), row("shipped")),
        (1_000, 994, 994)
    );
    assert_eq!(
        (row("dead-lettered"), row("lost"), row("duplicated")),
        (6, 0, 0)
    );
    assert!(row("retried") >= 25, "each 40th payment fails at first");
    assert!(
        text.contains("payments are down: waiting"),
        "the breaker opened"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_work_together_as_they_are_deployed() {
    let broker = Broker::builder()
        .listen("127.0.0.1:0")
        .start()
        .await
        .unwrap();
    let bootstrap = broker.bootstrap().join(",");
    let journey = tokio::task::spawn_blocking(move || {
        let setup = program(env!("CARGO_BIN_EXE_order-setup"), &bootstrap)
            .output()
            .unwrap();
        assert!(
            setup.status.success() && text(&setup).contains("orders: created"),
            "{}",
            text(&setup)
        );
        let again = program(env!("CARGO_BIN_EXE_order-setup"), &bootstrap)
            .output()
            .unwrap();
        assert!(
            text(&again).contains("orders: as wanted"),
            "{}",
            text(&again)
        );

        let mut consumer =
            Process::start(program(env!("CARGO_BIN_EXE_order-consumer"), &bootstrap));
        consumer.read_until(|line| line.contains("handling orders"));
        let mut command = program(env!("CARGO_BIN_EXE_order-producer"), &bootstrap);
        let placed = command.env("ORDERS", "500").output().unwrap();
        assert!(
            text(&placed).contains("500 orders placed"),
            "{}",
            text(&placed)
        );
        (consumer, bootstrap)
    });
    let (mut consumer, _) = journey.await.unwrap();
    let shipped = async {
        let end = |partition| {
            broker
                .inspect()
                .end_offset("orders.shipped", partition)
                .unwrap_or(0)
        };
        let letters = |partition| {
            broker
                .inspect()
                .end_offset("orders.dead-letters", partition)
                .unwrap_or(0)
        };
        while (0..4).map(|p| end(p) + letters(p)).sum::<i64>() < 500 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, shipped)
        .await
        .expect("all orders are handled");
    let output = tokio::task::spawn_blocking(move || {
        consumer.terminate();
        consumer.output()
    });
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let text = text(&output);
    assert!(
        text.contains("497 validated, 497 paid, 497 shipped, 3 dead letters"),
        "{text}"
    );
    // The consumer shut down in order, so everything is committed.
    let lag = |partition| {
        let end = broker.inspect().end_offset("orders", partition).unwrap();
        end - broker
            .inspect()
            .committed("orders", "orders", partition)
            .map_or(0, milena::Offset::to_wire)
    };
    assert_eq!((0..4).map(lag).sum::<i64>(), 0);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_producer_and_consumer_pass_lines_on() {
    let broker = Broker::builder()
        .listen("127.0.0.1:0")
        .start()
        .await
        .unwrap();
    let bootstrap = broker.bootstrap().join(",");
    let passing = tokio::task::spawn_blocking(move || {
        let mut command = program(env!("CARGO_BIN_EXE_producer"), &bootstrap);
        let mut producer = Process::start({
            command.stdin(Stdio::piped());
            command
        });
        let mut stdin = producer.child().stdin.take().unwrap();
        stdin.write_all(b"Dear Milena,\nit is raining.\n").unwrap();
        drop(stdin);
        let output = producer.output();
        assert!(
            output.status.success() && text(&output).contains("letters-0 at 1"),
            "{}",
            text(&output)
        );

        let mut consumer = Process::start(program(env!("CARGO_BIN_EXE_consumer"), &bootstrap));
        let lines = consumer.read_until(|line| line.contains("raining"));
        assert!(
            lines.iter().any(|line| line.ends_with("Dear Milena,")),
            "{lines:?}"
        );
        consumer.terminate();
        let output = consumer.output();
        assert!(
            output.status.success() && text(&output).contains("2 records"),
            "{}",
            text(&output)
        );
    });
    passing.await.unwrap();
    broker.shutdown().await;
}

#[test]
fn a_wrong_setting_is_named() {
    let mut command = program(env!("CARGO_BIN_EXE_order-producer"), "localhost:1");
    let output = command.env("ORDERS", "many").output().unwrap();
    assert!(!output.status.success());
    assert!(
        text(&output).contains("ORDERS") && text(&output).contains("many"),
        "{}",
        text(&output)
    );
}
