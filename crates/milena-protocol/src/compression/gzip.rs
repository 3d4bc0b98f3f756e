//! gzip, in pure Rust; a body may consist of several members.

use std::io::Write;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use milena_core::{Error, ErrorKind, Result};

use super::{Codec, read_capped};

pub(super) fn compress(level: u32, body: &[u8]) -> Result<Vec<u8>> {
    let out = Vec::with_capacity(body.len() / 2 + 64);
    let mut encoder = GzEncoder::new(out, flate2::Compression::new(level));
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish())
        .map_err(|cause| Error::new(ErrorKind::Config, format!("gzip refused the body: {cause}")))
}

pub(super) fn decompress(body: &[u8], max_size: usize) -> Result<Bytes> {
    read_capped(
        Codec::Gzip,
        MultiGzDecoder::new(body),
        body.len().saturating_mul(3),
        max_size,
    )
}
