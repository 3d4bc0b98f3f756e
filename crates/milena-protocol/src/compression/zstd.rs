//! Zstandard by its C library, with contexts kept per thread. A build without it refuses with a
//! typed error.

#[cfg(not(feature = "zstd"))]
use bytes::Bytes;
use milena_core::Result;
#[cfg(not(feature = "zstd"))]
use milena_core::{Error, ErrorKind};

#[cfg(not(feature = "zstd"))]
use super::Codec;
#[cfg(not(feature = "zstd"))]
use super::output::Output;

#[cfg(feature = "zstd")]
pub(super) use linked::{compress, decompress};

#[cfg(feature = "zstd")]
#[expect(clippy::unnecessary_wraps, reason = "the twin without the codec fails")]
pub(super) fn available() -> Result<()> {
    Ok(())
}

#[cfg(not(feature = "zstd"))]
pub(super) fn available() -> Result<()> {
    let what = "this build has no zstd; turn on the cargo feature `zstd`";
    Err(Error::new(ErrorKind::Unsupported, what).setting("compression.type"))
}

#[cfg(not(feature = "zstd"))]
pub(super) fn compress(_level: i32, _body: &[u8]) -> Result<Output> {
    available().map(|()| Output::new(Codec::Zstd, 0, 0))
}

#[cfg(not(feature = "zstd"))]
pub(super) fn decompress(_body: &[u8], _max_size: usize) -> Result<Bytes> {
    available().map(|()| Bytes::new())
}

#[cfg(feature = "zstd")]
mod linked {
    use std::cell::RefCell;

    use bytes::Bytes;
    use milena_core::{Error, ErrorKind, Result};
    use zstd::zstd_safe::{
        CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, compress_bound,
        get_error_name, get_frame_content_size,
    };

    use crate::compression::output::Output;
    use crate::compression::{Codec, corrupt};

    /// The largest window that is always accepted, as a power of two (128 MiB). It is zstd's own
    /// limit for compressors that are not asked for more.
    const WINDOW_LOG: u32 = 27;
    /// The largest window that the decoder can be made to accept, as a power of two.
    const WINDOW_LOG_MAX: u32 = if usize::BITS == 32 { 30 } else { 31 };
    /// The bytes by which the output grows, if a frame does not declare its size.
    const STEP: usize = 64 << 10;

    /// The first bytes of a frame.
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    /// The bit of the frame's descriptor that says that the frame is its own window.
    const SINGLE_SEGMENT: u8 = 0x20;

    thread_local! {
        // A context takes some hundred KiB and is slow to create.
        static PACK: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
        static UNPACK: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
    }

    pub(in crate::compression) fn compress(level: i32, body: &[u8]) -> Result<Output> {
        let most = compress_bound(body.len());
        let mut out = Output::new(Codec::Zstd, most, usize::MAX);
        let written = PACK.with_borrow_mut(|context| {
            context
                .set_parameter(CParameter::CompressionLevel(level))
                .and_then(|_| context.compress2(out.room(most), body))
                .map_err(|code| {
                    let what = format!("zstd refused the body: {}", get_error_name(code));
                    Error::new(ErrorKind::Config, what)
                })
        })?;
        out.advance(written)?;
        Ok(out)
    }

    pub(in crate::compression) fn decompress(body: &[u8], max_size: usize) -> Result<Bytes> {
        UNPACK.with_borrow_mut(|context| {
            let bad = |code| corrupt(Codec::Zstd, get_error_name(code));
            context.reset(ResetDirective::SessionOnly).map_err(bad)?;
            context
                .set_parameter(DParameter::WindowLogMax(window_log(max_size)))
                .map_err(bad)?;
            unpack(context, body, max_size)
        })
    }

    /// Returns the largest window that is accepted, as a power of two. The window is memory of the
    /// decoder's own. A reader that takes bodies of `max_size` bytes can also spare a window of
    /// that size.
    fn window_log(max_size: usize) -> u32 {
        let needed = usize::BITS - max_size.saturating_sub(1).leading_zeros();
        needed.clamp(WINDOW_LOG, WINDOW_LOG_MAX)
    }

    /// Returns the error for a body that the decoder refused. If its window is too large, the error
    /// says how large, and names the setting that accepts it.
    #[cold]
    fn refused(body: &[u8], max_size: usize, cause: &str) -> Error {
        let limit = 1_u64 << window_log(max_size);
        match window(body) {
            Some(needed) if needed > limit => {
                let raise = match needed <= 1 << WINDOW_LOG_MAX {
                    true => format!("raise max_batch_size to {needed}, or "),
                    false => String::new(),
                };
                let what = format!(
                    "a zstd body needs a window of {needed} bytes, and at most {limit} are accepted; {raise}compress with a smaller window"
                );
                Error::new(ErrorKind::Decode, what).setting("max_batch_size")
            }
            _ => corrupt(Codec::Zstd, cause),
        }
    }

    /// Reads the size of the window that the first frame needs. `None` if the frame has no window
    /// of its own.
    ///
    /// # References
    /// RFC 8878, section 3.1.1.1.
    fn window(body: &[u8]) -> Option<u64> {
        let frame = body.strip_prefix(&MAGIC)?;
        let (descriptor, window) = (*frame.first()?, *frame.get(1)?);
        if descriptor & SINGLE_SEGMENT != 0 {
            return None;
        }
        let base = 1_u64 << (10 + (window >> 3));
        Some(base + base / 8 * u64::from(window & 7))
    }

    /// Decompresses `body`, which may be several frames. A frame that declares its size is
    /// decompressed in one step, without a window of its own.
    fn unpack(context: &mut DCtx<'_>, body: &[u8], max_size: usize) -> Result<Bytes> {
        let declared = match get_frame_content_size(body) {
            Ok(Some(size)) => usize::try_from(size).unwrap_or(usize::MAX),
            _ => body.len().saturating_mul(4),
        };
        // The declared size is only a hint. At most 64 bytes per input byte are reserved for it.
        let hint = declared.min(body.len().saturating_mul(64));
        let mut out = Output::new(Codec::Zstd, hint, max_size);
        let mut input = InBuffer::around(body);
        loop {
            let consumed = input.pos();
            // The end of a frame may still have to be read when all of its bytes are written. No
            // room is needed for that.
            let mut room = OutBuffer::around(out.room(0));
            let left = context
                .decompress_stream(&mut room, &mut input)
                .map_err(|code| refused(body, max_size, get_error_name(code)))?;
            let (filled, full) = (room.pos(), room.pos() == room.capacity());
            out.advance(filled)?;
            let over = input.pos() == body.len();
            if over && left == 0 {
                return Ok(out.into_bytes());
            }
            if full {
                out.room(STEP.min(out.left() + 1));
            } else if filled == 0 && (over || input.pos() == consumed) {
                return Err(corrupt(Codec::Zstd, "it is cut short"));
            }
        }
    }
}
