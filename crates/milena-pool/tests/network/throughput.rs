//! Measures how fast one connection carries bytes over loopback. Run it by hand, optimised, with
//! `cargo test --release -p milena-pool --test network -- --ignored --nocapture throughput::`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use milena_pool::{Connection, ConnectionOptions, TcpConnect};
use milena_protocol::ApiKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers ApiVersions, then every request with `answer` bytes.
async fn serve(mut stream: TcpStream, answer: usize) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut greeted = false;
    while let Ok(len) = stream.read_u32().await {
        let mut head = [0; 8];
        stream.read_exact(&mut head).await.unwrap();
        let mut left = len as usize - 8;
        while left > 0 {
            let part = left.min(buffer.len());
            left -= stream.read(&mut buffer[..part]).await.unwrap();
        }
        let mut frame = head[4..].to_vec();
        if greeted {
            frame.push(0);
            frame.resize(5 + answer, 0);
        } else {
            greeted = true;
            frame.extend_from_slice(&[0, 0, 1, 0, 0, 0, 0, 0]);
        }
        stream.write_all(&crate::bed::framed(&frame)).await.unwrap();
    }
}

async fn connect(answer: usize) -> Connection {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, answer).await;
    });
    let options = ConnectionOptions::default();
    Connection::open(&TcpConnect::new(), &at.parse().unwrap(), None, &options)
        .await
        .unwrap()
}

async fn run(name: &str, depth: usize, pieces: Vec<Bytes>, answer: usize, rounds: usize) {
    let connection = connect(answer).await;
    let sent: usize = pieces.iter().map(Bytes::len).sum();
    let minute = Duration::from_secs(60);
    let mut waiting = VecDeque::new();
    let started = Instant::now();
    for _ in 0..rounds {
        waiting.push_back(connection.send_raw(ApiKey::Produce, 9, pieces.clone(), minute));
        if waiting.len() >= depth {
            waiting.pop_front().unwrap().await.unwrap();
        }
    }
    for answer in waiting {
        answer.await.unwrap();
    }
    let took = started.elapsed();
    let each = took / u32::try_from(rounds).unwrap();
    let rate = ((sent + answer) * rounds) as f64 / took.as_secs_f64() / 1e9;
    println!(
        "{name}: {each:?} per request, {rate:.2} GB/s, srtt {:?}",
        connection.srtt().unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, for optimised builds"]
async fn one_connection_over_loopback() {
    let small = vec![Bytes::from(vec![1; 100])];
    let large = vec![Bytes::from(vec![1; 16 << 10]); 64];
    run("100 B, one at a time", 1, small.clone(), 50, 50_000).await;
    run("100 B, five in flight", 5, small.clone(), 50, 200_000).await;
    run("1 MiB in 64 pieces, five in flight", 5, large, 50, 4_000).await;
    run("1 MiB answers, two in flight", 2, small, 1 << 20, 4_000).await;
}
