//! The program `milena-broker`: what it prints, that it serves, and that a signal ends it.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

// Not compiled where the program is not built: a test that is left out in silence is worse.
const PROGRAM: &str = env!("CARGO_BIN_EXE_milena-broker");

/// A broker that ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ran(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

#[test]
fn its_first_line_is_an_address_that_serves_and_each_signal_ends_it() {
    for signal in ["TERM", "INT"] {
        let child = Command::new(PROGRAM)
            .args(["--listen", "127.0.0.1:0", "--brokers", "2"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Running(child);
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let addresses: Vec<&str> = line.trim().split(',').collect();
        assert_eq!(addresses.len(), 2, "one address for each broker: {line}");
        for address in addresses {
            TcpStream::connect(address).unwrap();
        }

        let id = running.0.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
        let status = running.0.wait().unwrap();
        assert!(status.success(), "SIG{signal}: {status}");
    }
}

#[test]
fn help_and_mistakes_have_their_exit_codes() {
    let help = ran(&["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("--listen HOST:PORT"));

    let wrong = ran(&["--brokers", "some"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("--brokers"));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let refused = ran(&["--listen", &taken]);
    assert_eq!(refused.status.code(), Some(1));
}
