//! The three brokers, which `scripts/kafka` kills, stops and starts again.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep, sleep_until};

use crate::plan::Plan;

/// The brokers of the run.
pub(crate) struct Brokers {
    /// The program `scripts/kafka`. Its environment names the instance.
    script: PathBuf,
    /// The folder with the state of the instance.
    state: PathBuf,
    /// The addresses of the brokers.
    bootstrap: String,
}

/// The actions on the brokers so far.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) kills: u32,
    pub(crate) stops: u32,
}

impl Brokers {
    pub(crate) fn from_env() -> Self {
        let named = |name: &str| {
            std::env::var(name)
                .unwrap_or_else(|_| panic!("{name} is not set: run scripts/kill-ledger"))
        };
        Self {
            script: named("MILENA_TEST_LEDGER_KAFKA").into(),
            state: named("MILENA_TEST_KAFKA_STATE").into(),
            bootstrap: named("MILENA_TEST_BOOTSTRAP"),
        }
    }

    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    pub(crate) fn script(&self) -> &std::path::Path {
        &self.script
    }

    /// Returns a command for one of Kafka's own tools.
    pub(crate) fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(&self.script);
        command.args(["tool", name]).kill_on_drop(true);
        command
    }

    /// Kills and stops the brokers one after the other, spread over the plan's time.
    pub(crate) async fn chaos(&self, plan: &Plan, begun: Instant) -> Done {
        let mut done = Done::default();
        let all = plan.kills + plan.stops;
        let mut nodes = [1, 2, 3].into_iter().cycle();
        for turn in 0..all {
            // The groups work undisturbed in the first seconds.
            let share = plan.time.mul_f64(0.9) * turn / all;
            sleep_until(begun + plan.time.mul_f64(0.05) + share).await;
            let skipped = plan.draw(1, turn, 2) as usize;
            let node = nodes.nth(skipped).unwrap();
            let away = Duration::from_millis(2000 + plan.draw(2, turn, 3000));
            let stops_are_left = done.stops < plan.stops;
            let kill = !stops_are_left || (done.kills < plan.kills && plan.draw(3, turn, 2) == 0);
            if kill {
                self.call(&["kill", &node.to_string()]).await;
                sleep(away).await;
                self.call(&["start", &node.to_string()]).await;
                done.kills += 1;
            } else {
                self.signal(node, "STOP").await;
                sleep(away).await;
                self.signal(node, "CONT").await;
                done.stops += 1;
            }
        }
        done
    }

    /// Waits until each broker answers and knows the others.
    pub(crate) async fn until_all_answer(&self) {
        let begun = Instant::now();
        loop {
            let status = Command::new(&self.script)
                .arg("status")
                .stdout(Stdio::null())
                .status();
            if status.await.unwrap().success() {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(120),
                "brokers do not come back"
            );
            sleep(Duration::from_millis(500)).await;
        }
    }

    async fn call(&self, arguments: &[&str]) {
        let status = Command::new(&self.script).args(arguments).status();
        assert!(status.await.unwrap().success(), "{arguments:?}");
    }

    async fn signal(&self, node: i32, signal: &str) {
        let pid = std::fs::read_to_string(self.state.join(format!("node-{node}/pid"))).unwrap();
        let status = Command::new("kill")
            .args([format!("-{signal}"), pid.trim().to_owned()])
            .status();
        assert!(status.await.unwrap().success(), "{signal} of broker {node}");
    }
}
