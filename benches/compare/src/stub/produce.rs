//! Answers Produce, versions 3 to 12. Counts records from the batch headers, without reading a
//! record.

use std::io::{self, BufRead};
use std::sync::atomic::Ordering;

use crate::stub::Stub;
use crate::stub::wire::{Form, Head, array, i16, i32, skip};

pub(super) const API: i16 = 0;
pub(super) const VERSIONS: (i16, i16) = (3, 12);

/// Returns the answer, or `None` for acks=0.
pub(super) fn answer(
    stub: &Stub,
    head: &Head,
    from: &mut impl BufRead,
) -> io::Result<Option<Vec<u8>>> {
    let old = Form { flexible: false };
    let form = Form {
        flexible: head.version >= 9,
    };
    // The client id has the old form in every header.
    let client = old.string(from)?.unwrap_or(0);
    skip(from, client)?;
    form.tags(from)?;
    let transaction = form.string(from)?.unwrap_or(0);
    skip(from, transaction)?;
    let acks = i16(from)?;
    i32(from)?;

    let mut out = vec![0; 4];
    out.extend(head.correlation.to_be_bytes());
    form.put_tags(&mut out);
    let topics = form.len(from)?;
    form.put_len(&mut out, topics);
    for _ in 0..topics {
        let mut name = vec![0; form.string(from)?.unwrap_or(0) as usize];
        from.read_exact(&mut name)?;
        form.put_string(&mut out, &name);
        let partitions = form.len(from)?;
        form.put_len(&mut out, partitions);
        for _ in 0..partitions {
            let index = i32(from)?;
            let base = take_batch(stub, index, form, from)?;
            put_partition(&mut out, head.version, form, index, base);
        }
        form.tags(from)?;
        form.put_tags(&mut out);
    }
    out.extend(0i32.to_be_bytes()); // throttle time
    form.put_tags(&mut out);
    stub.requests.fetch_add(1, Ordering::Relaxed);

    let len = (out.len() as i32 - 4).to_be_bytes();
    for (place, byte) in out.iter_mut().zip(len) {
        *place = byte;
    }
    Ok((acks != 0).then_some(out))
}

/// Takes a batch. Returns the offset of its first record.
fn take_batch(stub: &Stub, index: i32, form: Form, from: &mut impl BufRead) -> io::Result<i64> {
    let len = form.len(from)?;
    let mut count = 0;
    let mut rest = len;
    if len >= HEADER as u64 {
        let header: [u8; HEADER] = array(from)?;
        rest -= HEADER as u64;
        let [.., a, b, c, d] = header;
        count = i32::from_be_bytes([a, b, c, d]);
    }
    skip(from, rest)?;
    form.tags(from)?;
    stub.records
        .fetch_add(u64::from(count.unsigned_abs()), Ordering::Relaxed);
    let next = usize::try_from(index)
        .ok()
        .and_then(|index| stub.next.get(index));
    let next = next.ok_or(io::ErrorKind::InvalidData)?;
    Ok(next.fetch_add(i64::from(count), Ordering::Relaxed))
}

fn put_partition(out: &mut Vec<u8>, version: i16, form: Form, index: i32, base: i64) {
    out.extend(index.to_be_bytes());
    out.extend(0i16.to_be_bytes()); // no error
    out.extend(base.to_be_bytes());
    out.extend((-1i64).to_be_bytes()); // log append time
    if version >= 5 {
        out.extend(0i64.to_be_bytes()); // log start offset
    }
    if version >= 8 {
        form.put_len(out, 0); // record errors
        if form.flexible {
            out.push(0); // error message: null
        } else {
            out.extend((-1i16).to_be_bytes());
        }
    }
    form.put_tags(out);
}

/// The length of a record batch's header. Its last four bytes are the number of records.
const HEADER: usize = 61;
