//! Zstandard by its C library, with contexts kept per thread; a typed refusal where it was left out.

use milena_core::Result;
#[cfg(not(feature = "zstd"))]
use milena_core::{Error, ErrorKind};

#[cfg(feature = "zstd")]
pub(super) use linked::{compress, decompress};

#[cfg(feature = "zstd")]
#[expect(clippy::unnecessary_wraps, reason = "the twin without the codec fails")]
pub(super) fn available() -> Result<()> {
    Ok(())
}

#[cfg(not(feature = "zstd"))]
pub(super) fn available() -> Result<()> {
    let what = "zstd was left out of this build: turn the feature `zstd` on";
    Err(Error::new(ErrorKind::Unsupported, what).setting("compression.type"))
}

#[cfg(not(feature = "zstd"))]
pub(super) fn compress(_level: i32, _body: &[u8]) -> Result<Vec<u8>> {
    available().map(|()| Vec::new())
}

#[cfg(not(feature = "zstd"))]
pub(super) fn decompress(_body: &[u8], _max_size: usize) -> Result<Vec<u8>> {
    available().map(|()| Vec::new())
}

#[cfg(feature = "zstd")]
mod linked {
    use std::cell::RefCell;

    use milena_core::{Error, ErrorKind, Result};
    use zstd::zstd_safe::{
        CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, compress_bound,
        get_error_name, get_frame_content_size,
    };

    use crate::compression::{Codec, corrupt, too_large};

    /// The largest window accepted, as a power of two (128 MiB): caps the decoder's own memory.
    const WINDOW_LOG_MAX: u32 = 27;
    const STEP: usize = 64 << 10;

    thread_local! {
        // A context is some hundred KiB large and slow to make.
        static PACK: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
        static UNPACK: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
    }

    pub(in crate::compression) fn compress(level: i32, body: &[u8]) -> Result<Vec<u8>> {
        PACK.with_borrow_mut(|context| {
            let mut out = Vec::with_capacity(compress_bound(body.len()));
            context
                .set_parameter(CParameter::CompressionLevel(level))
                .and_then(|_| context.compress2(&mut out, body))
                .map_err(|code| {
                    let what = format!("zstd refused the body: {}", get_error_name(code));
                    Error::new(ErrorKind::Config, what)
                })?;
            Ok(out)
        })
    }

    pub(in crate::compression) fn decompress(body: &[u8], max_size: usize) -> Result<Vec<u8>> {
        UNPACK.with_borrow_mut(|context| {
            let bad = |code| corrupt(Codec::Zstd, get_error_name(code));
            context.reset(ResetDirective::SessionOnly).map_err(bad)?;
            context
                .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
                .map_err(bad)?;
            unpack(context, body, max_size)
        })
    }

    /// Streams `body`, which may be several frames, into a vector that never passes `max_size` + 1.
    fn unpack(context: &mut DCtx<'_>, body: &[u8], max_size: usize) -> Result<Vec<u8>> {
        let declared = match get_frame_content_size(body) {
            Ok(Some(size)) => usize::try_from(size).unwrap_or(usize::MAX),
            _ => body.len().saturating_mul(4),
        };
        // The declared size is only a hint: at most 64 bytes per byte given are reserved on it.
        let hint = declared.min(body.len().saturating_mul(64)).min(max_size);
        let mut out: Vec<u8> = Vec::with_capacity(hint);
        let mut input = InBuffer::around(body);
        let mut left = 1;
        while input.pos() < body.len() || left > 0 {
            if out.len() > max_size {
                return Err(too_large(Codec::Zstd, max_size));
            }
            if out.len() == out.capacity() {
                let room = STEP
                    .max(out.len() / 2)
                    .min(max_size.saturating_add(1) - out.len());
                out.reserve_exact(room);
            }
            let (consumed, filled) = (input.pos(), out.len());
            left = context
                .decompress_stream(&mut OutBuffer::around_pos(&mut out, filled), &mut input)
                .map_err(|code| corrupt(Codec::Zstd, get_error_name(code)))?;
            let stuck = input.pos() == consumed && out.len() == filled;
            if stuck && left > 0 {
                return Err(corrupt(Codec::Zstd, "it is cut short"));
            }
            if left == 0 && input.pos() == body.len() {
                break;
            }
        }
        if out.len() > max_size {
            return Err(too_large(Codec::Zstd, max_size));
        }
        Ok(out)
    }
}
