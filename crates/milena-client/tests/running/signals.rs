//! Signals end a child process of this test program. The first one in order, the second one at
//! once.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The variable that is set in the child process. Holds the behavior to test.
const ROLE: &str = "MILENA_TEST_SIGNAL_ROLE";

/// Not a test by itself. It is the child process that the tests below start and signal.
#[test]
fn the_process_that_is_signalled() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match role.as_str() {
            "shutdown" => {
                let signal = milena_client::shutdown_signal();
                println!("\nready");
                let () = signal.await;
                println!("first");
                std::future::pending::<()>().await;
            }
            "named" => {
                let signal = milena_client::next_signal();
                println!("\nready");
                println!("{}", signal.await);
                let next = milena_client::next_signal();
                println!("again");
                println!("{}", next.await);
            }
            other => panic!("no such role: {other}"),
        }
    });
}

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "signals::the_process_that_is_signalled",
                "--nocapture",
            ])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn until(&mut self, wanted: &str) {
        let found = self.lines.any(|line| line.unwrap() == wanted);
        assert!(found, "it ended without `{wanted}`");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn the_first_signal_asks_and_the_second_ends_the_process_at_once() {
    for (second, code) in [("INT", 130), ("TERM", 143)] {
        let mut process = Process::start("shutdown");
        process.until("ready");
        process.signal("TERM");
        process.until("first");
        process.signal(second);
        assert_eq!(process.code(), Some(code));
    }
}

#[test]
fn a_signal_that_is_asked_for_by_name_ends_nothing_by_itself() {
    let mut process = Process::start("named");
    process.until("ready");
    process.signal("INT");
    process.until("SIGINT");
    process.until("again");
    process.signal("TERM");
    process.until("SIGTERM");
    assert_eq!(process.code(), Some(0));
}
