//! librdkafka through its C interface, with batches of messages and a callback per delivery.
#![expect(unsafe_code, reason = "the interface is C's")]

use std::ffi::{CString, c_int, c_void};
use std::ptr::null_mut;
use std::time::Duration;

use rdkafka::bindings as c;

use crate::case::{Job, Sample};
use crate::clients::peers::{handle, librdkafka};
use crate::clients::text;
use crate::load::{Blocking, Reports, Source, run_blocking};

pub(super) fn produce(job: &Job) -> Result<Sample, String> {
    let producer = Producer::new(job)?;
    let sample = run_blocking(job, &producer)?;
    Ok(Sample {
        set: librdkafka::told(job),
        ..sample
    })
}

/// A producer and its topic, which live until the process ends.
struct Producer {
    handle: *mut c::rd_kafka_t,
    topic: *mut c::rd_kafka_topic_t,
    reports: &'static Reports,
}

// SAFETY: librdkafka's handles may be used from any thread at once.
unsafe impl Sync for Producer {}

impl Producer {
    fn new(job: &Job) -> Result<Self, String> {
        let reports: &'static Reports = Box::leak(Box::default());
        let topic = CString::new(job.topic.as_str()).map_err(text)?;
        let kind = c::rd_kafka_type_t::RD_KAFKA_PRODUCER;
        let handle = handle::open(kind, librdkafka::settings(job), |conf| {
            // SAFETY: the configuration is live, and `reports` is never freed.
            unsafe {
                c::rd_kafka_conf_set_opaque(conf, std::ptr::from_ref(reports).cast_mut().cast());
                c::rd_kafka_conf_set_dr_msg_cb(conf, Some(delivered));
            }
        })?;
        // SAFETY: the handle is live, and so is the terminated name.
        let topic = unsafe { c::rd_kafka_topic_new(handle, topic.as_ptr(), null_mut()) };
        Ok(Self {
            handle,
            topic,
            reports,
        })
    }
}

unsafe extern "C" fn delivered(
    _: *mut c::rd_kafka_t,
    message: *const c::rd_kafka_message_t,
    reports: *mut c_void,
) {
    // SAFETY: librdkafka passes a live message and the pointer that was set, which is never freed.
    let (message, reports) = unsafe { (&*message, &*reports.cast::<Reports>()) };
    if message.err as i32 == 0 {
        reports.delivered(message._private as usize);
    } else {
        reports.failed(format!("{:?}", message.err));
    }
}

impl Blocking for Producer {
    fn produce(&self, source: &Source, first: u64, count: u64, stamp: usize) -> Result<(), String> {
        let partition = source.partition(first).unwrap_or(UNASSIGNED);
        let message = |number| {
            let record = source.record(number);
            // SAFETY: zeros are a valid message, with null for every pointer.
            let mut message: c::rd_kafka_message_t = unsafe { std::mem::zeroed() };
            message.payload = record.value.as_ptr().cast_mut().cast();
            message.len = record.value.len();
            if let Some(key) = record.key {
                message.key = key.as_ptr().cast_mut().cast();
                message.key_len = key.len();
            }
            message._private = stamp as *mut c_void;
            message
        };
        let mut messages: Vec<_> = (first..first + count).map(message).collect();
        let mut rest = messages.as_mut_slice();
        while !rest.is_empty() {
            let (at, len) = (rest.as_mut_ptr(), rest.len() as c_int);
            // SAFETY: the messages live through the call, which copies what they point to.
            let taken = unsafe {
                c::rd_kafka_produce_batch(
                    self.topic,
                    partition,
                    c::RD_KAFKA_MSG_F_COPY as c_int,
                    at,
                    len,
                )
            };
            if (taken as usize) < rest.len() {
                keep_refused(&mut rest)?;
                self.poll(Duration::from_millis(5));
            } else {
                break;
            }
        }
        Ok(())
    }

    fn poll(&self, wait: Duration) {
        // SAFETY: the handle lives as long as the process.
        unsafe { c::rd_kafka_poll(self.handle, wait.as_millis() as c_int) };
    }

    fn reports(&self) -> &Reports {
        self.reports
    }

    fn flush(&self) -> Result<(), String> {
        // SAFETY: as above.
        let answer = unsafe { c::rd_kafka_flush(self.handle, 60_000) };
        if answer as i32 == 0 {
            Ok(())
        } else {
            Err(format!("flush: {answer:?}"))
        }
    }
}

/// Moves the messages that were refused by a full queue to the front, to be tried again.
fn keep_refused(messages: &mut &mut [c::rd_kafka_message_t]) -> Result<(), String> {
    let full = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL;
    let mut refused = 0;
    for at in 0..messages.len() {
        match messages.get(at).map(|message| message.err) {
            Some(err) if err == full => {
                messages.swap(refused, at);
                refused += 1;
            }
            Some(err) if err as i32 != 0 => return Err(format!("{err:?}")),
            _ => {}
        }
    }
    let all = std::mem::take(messages);
    *messages = all.get_mut(..refused).unwrap_or_default();
    Ok(())
}

/// The value that leaves the choice to librdkafka. A macro in C.
const UNASSIGNED: i32 = -1;
