//! A broker that acknowledges and stores nothing, and serves one batch for ever. Measurements with
//! it show the costs of the client.
//!
//! A thread per connection reads requests and answers them in order. With a delay, a second thread
//! sends the answers, so the delays of pipelined requests overlap. With `--serial`, the connection
//! waits for each answer instead, like Kafka.

mod control;
mod fetch;
mod group;
mod log;
mod produce;
mod wire;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::args::StubFlags;
use crate::measure;

/// Serves until standard input ends. Prints its address, and its counts for each line of input.
pub(crate) fn run(flags: &StubFlags) -> Result<(), String> {
    measure::stay_on(flags.core.as_slice());
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let stub = Arc::new(Stub {
        address,
        partitions: flags.partitions,
        next: (0..flags.partitions).map(|_| AtomicI64::new(0)).collect(),
        requests: AtomicU64::new(0),
        records: AtomicU64::new(0),
        log: log::Log::new(flags)?,
        rtt: flags.rtt,
        serial: flags.serial,
    });
    let shared = stub.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let stub = shared.clone();
            std::thread::spawn(move || stub.serve(stream));
        }
    });
    println!("{address}");
    for _ in io::stdin().lines() {
        let requests = stub.requests.swap(0, Ordering::Relaxed);
        let records = stub.records.swap(0, Ordering::Relaxed);
        let (origin, tick, batch) = stub.log.restart();
        let bytes = stub.log.batch.len();
        println!("{requests} {records} {origin} {tick} {batch} {bytes}");
    }
    Ok(())
}

/// The state that all connections share.
struct Stub {
    /// The address of the listener.
    address: SocketAddr,
    /// The number of partitions of every topic.
    partitions: u32,
    /// The next offset of each partition.
    next: Vec<AtomicI64>,
    /// The log that is served.
    log: log::Log,
    /// The Produce and Fetch requests since the counts were last printed.
    requests: AtomicU64,
    /// The records since the counts were last printed.
    records: AtomicU64,
    /// The delay of each answer.
    rtt: Duration,
    /// True if a connection's requests are answered one at a time.
    serial: bool,
}

impl Stub {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(READ_BUFFER, stream.try_clone()?);
        let mut way_out = self.way_out(stream);
        let mut session = fetch::Session::default();
        loop {
            match self.answer(&mut reader, &mut session)? {
                Some(Answer::Small(answer)) => way_out.send(answer)?,
                Some(Answer::Fetched(answer)) => way_out.send_fetched(&answer, &self.log)?,
                None => {}
            }
        }
    }

    /// Reads one request. Returns `None` if it wants no answer.
    fn answer(
        &self,
        reader: &mut impl BufRead,
        session: &mut fetch::Session,
    ) -> io::Result<Option<Answer>> {
        let len = u64::from(wire::u32(reader)?);
        let mut frame = reader.take(len);
        let head = wire::Head::read(&mut frame)?;
        let answer = match head.api {
            produce::API => produce::answer(self, &head, &mut frame)?.map(Answer::Small),
            fetch::API => {
                let answer = fetch::answer(self, &head, &mut frame, session)?;
                Some(Answer::Fetched(answer))
            }
            _ => Some(Answer::Small(control::answer(self, &head, &mut frame)?)),
        };
        wire::skip(&mut frame, u64::MAX)?;
        Ok(answer)
    }

    fn way_out(&self, mut stream: TcpStream) -> WayOut {
        if self.rtt.is_zero() {
            return WayOut::AtOnce(stream);
        }
        if self.serial {
            return WayOut::OneByOne(stream, self.rtt);
        }
        let (later, answers) = mpsc::channel::<(Instant, Vec<u8>)>();
        std::thread::spawn(move || {
            for (due, answer) in answers {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if stream.write_all(&answer).is_err() {
                    break;
                }
            }
        });
        WayOut::Later(later, self.rtt)
    }
}

enum Answer {
    Small(Vec<u8>),
    Fetched(fetch::Answer),
}

/// The way in which answers leave a connection.
enum WayOut {
    AtOnce(TcpStream),
    /// The next request is read only after the answer was sent.
    OneByOne(TcpStream, Duration),
    Later(mpsc::Sender<(Instant, Vec<u8>)>, Duration),
}

impl WayOut {
    fn send_fetched(&mut self, answer: &fetch::Answer, log: &log::Log) -> io::Result<()> {
        match self {
            Self::AtOnce(stream) => answer.write(log, stream),
            _ => self.send(answer.whole(log)?),
        }
    }

    fn send(&mut self, answer: Vec<u8>) -> io::Result<()> {
        match self {
            Self::AtOnce(stream) => stream.write_all(&answer),
            Self::OneByOne(stream, rtt) => {
                std::thread::sleep(*rtt);
                stream.write_all(&answer)
            }
            Self::Later(later, rtt) => {
                let sent = later.send((Instant::now() + *rtt, answer));
                sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
            }
        }
    }
}

/// Small enough to stay in the core's cache, and large enough for few reads.
const READ_BUFFER: usize = 256 * 1024;
