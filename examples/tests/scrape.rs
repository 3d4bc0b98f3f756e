//! Scrapes the health and metrics of the order system while it runs and after its table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process that ends even if the test fails.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Requests a path. Returns the status and the body.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[test]
fn the_metrics_at_the_end_are_the_figures_of_the_table() {
    let child = Command::new(env!("CARGO_BIN_EXE_order-system"))
        .args(["--http", "127.0.0.1:0"])
        .env("MILENA_BOOTSTRAP", "")
        .env("ORDERS", "1000")
        .env_remove("TOPIC_PREFIX")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = Ending(child.unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut next = |wanted: &str| {
        loop {
            let line = lines.next().expect("it goes on").unwrap();
            if line.contains(wanted) {
                return line;
            }
        }
    };
    let line = next("http://");
    let (_, address) = line.split_once("http://").unwrap();
    assert_eq!(get(address, "/health/live").0, 200);

    let figure = |line: &str| {
        let number = line.split('|').nth(2).unwrap().trim().replace(',', "");
        number.parse::<f64>().unwrap()
    };
    let [placed, paid, shipped, retried, dead, duplicated] = [
        "| placed",
        "| paid",
        "| shipped",
        "| retried",
        "| dead-lettered",
        "| duplicated",
    ]
    .map(|row| figure(&next(row)));
    next("can be scraped");
    assert_eq!(get(address, "/health/live").0, 200, "alive to the end");
    assert_eq!(get(address, "/health/ready").0, 503);
    let (status, text) = get(address, "/metrics");
    assert_eq!(status, 200);
    // The topics have a prefix that is unique to the run.
    let sum = |name: &str, label: &str| {
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let found = series.strip_prefix(name)?;
            (found.is_empty() || found.starts_with('{') && found.contains(label))
                .then(|| value.parse::<f64>().unwrap())
        });
        values.sum::<f64>()
    };
    let records = |topic: &str| sum("milena_producer_records_total", &format!(".{topic}\"}}"));
    assert_eq!(records("orders"), placed);
    assert_eq!(records("orders.paid"), paid);
    assert_eq!(records("orders.shipped"), shipped);
    assert_eq!(records("orders.dead-letters"), dead);
    assert_eq!(sum("milena_process_dead_letters_total", ""), dead);
    assert_eq!(sum("order_system_orders_total", "\"placed\""), placed);
    assert_eq!(sum("order_system_orders_total", "\"paid\""), paid);
    assert_eq!(sum("order_system_orders_total", "\"shipped\""), shipped);
    assert_eq!(sum("order_system_orders_total", "\"retried\""), retried);
    assert_eq!(duplicated, 0.0);
    let attempts = |outcome: &str| sum("milena_process_attempt_seconds_count", outcome);
    assert!(attempts("\"dependency\"") >= 5.0, "payments were down");
    assert!(sum("milena_process_retries_total", "") >= retried);
    assert!(sum("milena_consumer_rebalances_total", "\"assigned\"") >= 1.0);
    assert!(child.0.wait().unwrap().success());
}
