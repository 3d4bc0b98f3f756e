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

    /// The largest window that is accepted, as a power of two (128 MiB). It caps the decoder's own
    /// memory.
    const WINDOW_LOG_MAX: u32 = 27;
    /// The bytes by which the output grows, if a frame does not declare its size.
    const STEP: usize = 64 << 10;

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
                .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
                .map_err(bad)?;
            unpack(context, body, max_size)
        })
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
                .map_err(|code| corrupt(Codec::Zstd, get_error_name(code)))?;
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
