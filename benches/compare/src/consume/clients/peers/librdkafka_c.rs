//! librdkafka through its C interface, with batches of messages from its queue.
#![expect(unsafe_code, reason = "the interface is C's")]

use std::ffi::CString;
use std::ptr::null_mut;

use rdkafka::bindings as c;

use crate::case::ConsumeJob;
use crate::clients::peers::handle;
use crate::clients::text;
use crate::consume::board::Board;
use crate::consume::clients::from_end;
use crate::consume::clients::peers::librdkafka;
use crate::consume::tally::Tally;

pub(super) fn consume(job: &ConsumeJob, board: &Board) -> Result<(), String> {
    board.set(librdkafka::told(job));
    let queue = open(job)?;
    let mut messages: Vec<*mut c::rd_kafka_message_t> = vec![null_mut(); CALL];
    let mut tally = Tally::new(board, 0, job.partitions);
    while tally.flush()? {
        // SAFETY: the queue lives as long as the process, and the call writes at most as many
        // pointers as fit.
        let came = unsafe {
            c::rd_kafka_consume_batch_queue(queue, 100, messages.as_mut_ptr(), messages.len())
        };
        let came = usize::try_from(came).map_err(|_| "the queue failed".to_owned())?;
        for &message in messages.get(..came).unwrap_or_default() {
            // SAFETY: librdkafka returned the message, whose payload lives until it is destroyed
            // here, once.
            let err = unsafe {
                let held = &*message;
                let value = std::slice::from_raw_parts(held.payload.cast::<u8>(), held.len);
                if held.err as i32 == 0 {
                    tally.record(held.partition, held.offset, value);
                }
                let err = held.err;
                c::rd_kafka_message_destroy(message);
                err
            };
            if err as i32 != 0 {
                return Err(format!("{err:?}"));
            }
        }
    }
    Ok(())
}

/// Creates a consumer with all partitions assigned, and returns the queue of its messages. Both
/// live until the process ends.
fn open(job: &ConsumeJob) -> Result<*mut c::rd_kafka_queue_t, String> {
    let topic = CString::new(job.topic.as_str()).map_err(text)?;
    let kind = c::rd_kafka_type_t::RD_KAFKA_CONSUMER;
    let handle = handle::open(kind, librdkafka::settings(job), |_| {})?;
    // SAFETY: each call gets the live name and the handles that earlier calls returned.
    unsafe {
        c::rd_kafka_poll_set_consumer(handle);
        let list = c::rd_kafka_topic_partition_list_new(job.partitions as i32);
        for partition in 0..job.partitions {
            let entry =
                c::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), partition as i32);
            (*entry).offset = if from_end(job) { END } else { BEGINNING };
        }
        let answer = c::rd_kafka_assign(handle, list);
        if answer as i32 != 0 {
            return Err(format!("assign: {answer:?}"));
        }
        Ok(c::rd_kafka_queue_get_consumer(handle))
    }
}

/// The most messages of one call.
const CALL: usize = 10_000;
/// Values of macros in C.
const BEGINNING: i64 = -2;
const END: i64 = -1;
