//! Memory of large frames. It is used again once the last slice of a frame is dropped.

use std::mem;
use std::sync::{Arc, Weak};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

/// Memory that a connection's large frames gave back. With it, a steady flow of large frames causes
/// no page faults.
///
/// Only two pieces are kept, and only while large frames arrive. A frame nearly fills its memory,
/// so a slice of a frame keeps little more than the frame in memory.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    /// The kept memory, shared with the frames that will give memory back.
    kept: Arc<Mutex<KeptMemory>>,
    /// Small frames in a row since the last large one.
    small: u32,
    /// The size in bytes of the largest frame that has arrived whole.
    largest: usize,
}

#[derive(Debug, Default)]
struct KeptMemory {
    /// Memory to use again, oldest first. At most [`MOST_KEPT`].
    spares: Vec<BytesMut>,
    /// True while large frames arrive. Memory that comes back is then kept.
    flowing: bool,
}

/// The bytes of a frame. Its memory comes back when the last slice is dropped.
struct Lent {
    /// The frame.
    bytes: BytesMut,
    /// The place for the memory. Gone once the connection has ended.
    home: Weak<Mutex<KeptMemory>>,
}

impl Spares {
    /// Returns empty memory for a frame of `len` bytes: kept memory that fits it, or a little new
    /// memory.
    ///
    /// A false length in a frame must not make the client reserve memory. New memory therefore
    /// [grows](Self::grow) with the bytes that arrive, unless the frame is at most twice as large
    /// as one that has arrived whole. A steady flow of frames of different sizes is then never
    /// copied.
    pub(crate) fn take(&mut self, len: usize) -> BytesMut {
        let known = len <= self.largest.saturating_mul(2).max(START);
        if !is_lent(len) {
            self.pass();
            return BytesMut::with_capacity(if known { len } else { START });
        }
        self.small = 0;
        let fits = |spare: &BytesMut| (len..=len + len / SLACK).contains(&spare.capacity());
        let mut kept = self.kept.lock();
        kept.flowing = true;
        match kept.spares.iter().rposition(fits) {
            Some(at) => kept.spares.swap_remove(at),
            None => {
                // Allocate without the lock, which frames need when they give memory back.
                drop(kept);
                BytesMut::with_capacity(if known { with_slack(len) } else { START })
            }
        }
    }

    /// Enlarges the full memory of a frame of `len` bytes. It doubles, and in the end is just large
    /// enough for the whole frame.
    pub(crate) fn grow(bytes: &mut BytesMut, len: usize) {
        let whole = if is_lent(len) { with_slack(len) } else { len };
        let double = bytes.capacity().saturating_mul(2);
        let room = if double < len { double } else { whole };
        let mut larger = BytesMut::with_capacity(room);
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }

    /// Returns the whole frame. Its memory comes back to `self` if it is worth keeping.
    pub(crate) fn frame(&mut self, bytes: BytesMut) -> Bytes {
        self.largest = self.largest.max(bytes.len());
        if !is_lent(bytes.len()) {
            return bytes.freeze();
        }
        Bytes::from_owner(Lent {
            bytes,
            home: Arc::downgrade(&self.kept),
        })
    }

    /// Notes that a small frame came. Several in a row end the flow of large frames.
    pub(crate) fn pass(&mut self) {
        self.small = self.small.saturating_add(1);
        if self.small == FLOW_ENDS {
            self.let_go();
        }
    }

    /// Frees all memory, and keeps none until the next large frame.
    pub(crate) fn let_go(&self) {
        let gone = mem::take(&mut *self.kept.lock());
        drop(gone);
    }

    /// Returns true if memory is kept or may be kept.
    pub(crate) fn is_flowing(&self) -> bool {
        self.kept.lock().flowing
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else {
            return;
        };
        let mut bytes = mem::take(&mut self.bytes);
        bytes.clear();
        let mut kept = home.lock();
        if !kept.flowing {
            return;
        }
        // Free the oldest memory, because frames of its size may not come any more.
        let oldest = (kept.spares.len() == MOST_KEPT).then(|| kept.spares.remove(0));
        kept.spares.push(bytes);
        drop(kept);
        drop(oldest);
    }
}

/// Returns the memory to reserve for a frame whose memory is kept. It is a little more than the
/// frame needs, because the next frame may be a little larger.
fn with_slack(len: usize) -> usize {
    len + len / SLACK / 2
}

/// Returns true if the memory of such a frame is kept. The allocator has memory for smaller frames
/// at hand, and larger ones would keep too much.
fn is_lent(len: usize) -> bool {
    (LEAST..=MOST).contains(&len)
}

/// The memory reserved before any byte of a large frame has arrived, in bytes.
const START: usize = 256 << 10;
/// The smallest frame whose memory is kept, in bytes.
const LEAST: usize = 256 << 10;
/// The largest frame whose memory is kept, in bytes.
const MOST: usize = 16 << 20;
/// Kept memory may exceed its frame by the frame's size divided by this.
const SLACK: usize = 8;
/// The most memory pieces kept. One is filled while the reader still uses the other.
const MOST_KEPT: usize = 2;
/// Small frames in a row that end a flow of large frames.
const FLOW_ENDS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 1 << 20;

    fn frame(spares: &mut Spares, len: usize) -> Bytes {
        let mut bytes = whole(spares, len);
        assert!(bytes.is_empty());
        bytes.resize(len, 7);
        spares.frame(bytes)
    }

    /// Returns memory that has grown to hold a whole frame.
    fn whole(spares: &mut Spares, len: usize) -> BytesMut {
        let mut bytes = spares.take(len);
        while bytes.capacity() < len {
            bytes.resize(bytes.capacity(), 0);
            Spares::grow(&mut bytes, len);
        }
        bytes.clear();
        bytes
    }

    fn kept(spares: &Spares) -> usize {
        spares.kept.lock().spares.len()
    }

    #[test]
    fn memory_comes_back_with_the_last_slice_of_its_frame() {
        let mut spares = Spares::default();
        let first = frame(&mut spares, LEN);
        let (place, slice) = (first.as_ptr(), first.slice(5..9));
        drop(first);
        let second = frame(&mut spares, LEN);
        assert_ne!(second.as_ptr(), place, "it is in use");
        assert_eq!(slice, [7; 4][..]);
        drop(slice);
        let third = frame(&mut spares, LEN + LEN / 32);
        assert_eq!(third.as_ptr(), place);
    }

    #[test]
    fn a_frame_never_pins_memory_much_larger_than_itself() {
        let mut spares = Spares::default();
        drop(frame(&mut spares, 2 * LEN));
        for len in [LEAST, LEN, LEN + LEN / 2, 2 * LEN - LEN / 4, 2 * LEN] {
            let taken = whole(&mut spares, len).capacity();
            assert!((len..=len + len / 8).contains(&taken), "{taken} for {len}");
        }
        for len in [10, 50_000, MOST + 1] {
            assert_eq!(whole(&mut spares, len).capacity(), len);
        }
    }

    #[test]
    fn a_length_alone_reserves_little() {
        let mut spares = Spares::default();
        for len in [START, LEN, MOST, 100 << 20, 2 << 30] {
            assert!(spares.take(len).capacity() <= with_slack(START));
        }
        let mut bytes = BytesMut::with_capacity(START);
        bytes.resize(START, 7);
        Spares::grow(&mut bytes, 100 << 20);
        assert_eq!(bytes.capacity(), 2 * START);
        Spares::grow(&mut bytes, 3 * START);
        assert!((3 * START..=3 * START + 3 * START / SLACK).contains(&bytes.capacity()));
        assert!(bytes.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn a_frame_of_a_size_that_has_come_before_is_reserved_whole_and_never_copied() {
        let mut spares = Spares::default();
        drop(frame(&mut spares, LEN));
        for len in [LEN / 2, LEN + LEN / 2, 2 * LEN] {
            assert!(spares.take(len).capacity() >= len);
        }
        let far = 2 * LEN + 1;
        assert!(spares.take(far).capacity() < far, "no frame has shown it");
    }

    #[test]
    fn little_is_kept() {
        let mut spares = Spares::default();
        let frames: Vec<_> = (0..9).map(|_| frame(&mut spares, LEN)).collect();
        drop(frames);
        assert_eq!(kept(&spares), MOST_KEPT);
        drop(frame(&mut spares, MOST + 1));
        assert_eq!(kept(&spares), MOST_KEPT);
    }

    #[test]
    fn nothing_is_kept_once_frames_are_small_again() {
        let mut spares = Spares::default();
        let held = frame(&mut spares, LEN);
        drop(frame(&mut spares, LEN));
        assert_eq!(kept(&spares), 1);
        for _ in 0..FLOW_ENDS {
            spares.pass();
        }
        assert_eq!(kept(&spares), 0);
        drop(held);
        assert_eq!(kept(&spares), 0, "what comes back late is not kept either");
        drop(frame(&mut spares, LEN));
        assert_eq!(kept(&spares), 1);
    }

    #[test]
    fn a_frame_outlives_its_connection() {
        let mut spares = Spares::default();
        let held = frame(&mut spares, LEN);
        drop(spares);
        assert!(held.iter().all(|byte| *byte == 7));
    }
}
