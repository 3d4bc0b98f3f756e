//! The costs of a process so far.

use std::time::Instant;

use crate::case::Sample;

/// A meter that starts with the load.
pub(crate) struct Meter {
    /// The start of the load.
    start: Instant,
    /// The user and system time at the start.
    cpu: f64,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
            cpu: cpu_seconds(),
        }
    }

    /// Returns the time and the costs of `records` since the start.
    pub(crate) fn stop(self, records: u64) -> Sample {
        Sample {
            records,
            seconds: self.start.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds() - self.cpu,
            rss_mib: peak_rss_mib(),
            ..Sample::default()
        }
    }
}

/// Restricts this process and its children to `cores`.
#[expect(unsafe_code, reason = "the call is only there in C")]
pub(crate) fn stay_on(cores: &[usize]) {
    if cores.is_empty() {
        return;
    }
    // SAFETY: a zeroed set is an empty one, and both calls only read and write that set. If the
    // system refuses, the process stays as it is.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for core in cores {
            libc::CPU_SET(*core, &mut set);
        }
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}

/// Returns the user and system time of this process.
#[expect(unsafe_code, reason = "the call is only there in C")]
fn cpu_seconds() -> f64 {
    // SAFETY: the struct is plain numbers, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Returns the most memory that this process ever held. Zero if the system does not report it.
fn peak_rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// Returns the nanoseconds of the system's monotonic clock, which all processes share.
#[expect(unsafe_code, reason = "the call is only there in C")]
pub(crate) fn monotonic() -> u64 {
    // SAFETY: the struct is plain numbers, and the call fills it.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time);
        time
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Returns the bytes that this process's open TCP connections have received so far. `None` if the
/// system does not report them.
pub(crate) fn bytes_received() -> Option<u64> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?;
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Some(numbers.filter_map(received_by).sum())
}

/// Returns the bytes that a connection has received. `None` if the descriptor is no TCP connection.
#[expect(unsafe_code, reason = "the call is only there in C")]
fn received_by(descriptor: i32) -> Option<u64> {
    let mut info = [0u8; 256];
    let mut len = info.len() as libc::socklen_t;
    // SAFETY: the call writes at most `len` bytes into the buffer, and refuses a descriptor that is
    // no TCP socket.
    let answer = unsafe {
        let (at, len) = (info.as_mut_ptr().cast(), &raw mut len);
        libc::getsockopt(descriptor, libc::IPPROTO_TCP, libc::TCP_INFO, at, len)
    };
    let bytes = info.get(BYTES_RECEIVED..BYTES_RECEIVED + 8)?;
    (answer == 0 && len as usize >= BYTES_RECEIVED + 8)
        .then(|| Some(u64::from_ne_bytes(*bytes.first_chunk()?)))?
}

/// The offset of `tcpi_bytes_received` in Linux's `struct tcp_info`.
const BYTES_RECEIVED: usize = 128;
