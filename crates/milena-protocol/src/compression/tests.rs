//! The codecs, in both directions, with the cap, and with bytes that are wrong.

use std::io::Write;

use flate2::write::GzEncoder;

use super::*;

/// Returns every codec at its default level, and some at their bounds.
fn all() -> Vec<Compression> {
    let bounds = [
        Compression::Gzip(1),
        Compression::Gzip(9),
        Compression::Zstd(19),
    ];
    let codecs = Compression::ALL
        .into_iter()
        .filter(|compression| compression.codec() != Codec::None);
    codecs.chain(bounds).collect()
}

/// Returns the codecs that are part of the build, since zstd is a feature.
fn built(all: &[Compression]) -> impl Iterator<Item = Compression> + '_ {
    all.iter()
        .copied()
        .filter(|compression| check(*compression).is_ok())
}

fn text(len: usize) -> Vec<u8> {
    let words: &[u8] = b"order paid, order shipped, order 1f93c77a lost; ";
    words.iter().copied().cycle().take(len).collect()
}

#[test]
fn every_codec_brings_back_what_it_was_given() {
    for compression in built(&all()) {
        for len in [0, 1, 100, 65_536, 65_537, 1_000_000] {
            let body = text(len);
            let packed = compress(compression, &body).unwrap();
            let back = decompress(compression.codec(), &packed, len).unwrap();
            assert!(back == body, "{compression:?} of {len} bytes");
        }
    }
}

#[test]
fn a_body_one_byte_over_the_cap_is_refused() {
    for compression in built(&all()) {
        let packed = compress(compression, &text(200_000)).unwrap();
        let error = decompress(compression.codec(), &packed, 199_999).unwrap_err();
        let named = format!(
            "a {} body decompresses to more than the cap of 199999 bytes; raise max_batch_size",
            compression.codec().name()
        );
        assert!(error.to_string().contains(&named), "{error}");
        assert_eq!(error.place().setting.as_deref(), Some("max_batch_size"));
    }
}

#[test]
fn a_bomb_is_refused_without_being_unfolded() {
    for compression in built(&all()) {
        let packed = compress(compression, &vec![0; 64 << 20]).unwrap();
        let started = std::time::Instant::now();
        assert!(decompress(compression.codec(), &packed, 100_000).is_err());
        assert!(started.elapsed().as_secs() < 5, "{compression:?}");
    }
}

#[test]
fn cut_and_changed_bodies_are_errors_or_values_but_never_panics() {
    for compression in built(&all()) {
        let packed = compress(compression, &text(5_000)).unwrap();
        for cut in 0..packed.len() {
            let _ = decompress(compression.codec(), &packed[..cut], 10_000);
            let mut changed = packed.clone();
            changed[cut] ^= 0x55;
            let _ = decompress(compression.codec(), &changed, 10_000);
        }
    }
}

#[test]
fn a_cut_zstd_or_gzip_body_is_an_error() {
    for compression in built(&[Compression::GZIP, Compression::ZSTD]) {
        let packed = compress(compression, &text(5_000)).unwrap();
        for cut in 0..packed.len() {
            assert!(
                decompress(compression.codec(), &packed[..cut], 10_000).is_err(),
                "{cut}"
            );
        }
    }
}

/// Returns a zstd frame that declares no size, with a window of 1 KiB times two to the power of
/// `exponent`. It holds `hello` in one block that is not compressed.
#[cfg(feature = "zstd")]
fn frame(exponent: u8) -> Vec<u8> {
    // Magic, descriptor, window, and the block's header: the last block, raw, of 5 bytes.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 5 << 3 | 1, 0, 0];
    frame.extend(b"hello");
    frame
}

#[cfg(feature = "zstd")]
#[test]
fn a_zstd_window_over_the_limit_is_told_with_its_size_and_the_setting_accepts_it() {
    let mib = 1 << 20;
    assert_eq!(decompress(Codec::Zstd, &frame(17), 100).unwrap(), "hello");
    let error = decompress(Codec::Zstd, &frame(18), 128 * mib).unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with("a zstd body needs a window of 268435456 bytes, and at most 134217728"),
        "{told}"
    );
    assert!(told.contains("raise max_batch_size to 268435456"), "{told}");
    assert_eq!(error.kind(), ErrorKind::Decode);
    let raised = decompress(Codec::Zstd, &frame(18), 256 * mib);
    assert_eq!(raised.unwrap(), "hello");
    // No setting accepts this one.
    let error = decompress(Codec::Zstd, &frame(31), usize::MAX).unwrap_err();
    let told = error.to_string();
    assert!(told.contains("; compress with a smaller window"), "{told}");
}

#[test]
fn a_bare_snappy_block_is_read_too() {
    let body = text(200_000);
    let bare = snap::raw::Encoder::new().compress_vec(&body).unwrap();
    assert_eq!(decompress(Codec::Snappy, &bare, 200_000).unwrap(), body);
}

#[test]
fn a_snappy_block_that_claims_4_gib_reserves_nothing() {
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    let error = decompress(Codec::Snappy, &claim, usize::MAX).unwrap_err();
    assert!(error.to_string().contains("claims"), "{error}");
}

#[test]
fn several_members_or_frames_are_read_as_one_body() {
    for compression in built(&[Compression::GZIP, Compression::ZSTD]) {
        let mut packed = compress(compression, b"one ").unwrap();
        packed.extend(compress(compression, b"two").unwrap());
        assert_eq!(
            decompress(compression.codec(), &packed, 100).unwrap(),
            "one two"
        );
    }
}

#[test]
fn a_level_outside_its_bounds_is_named() {
    let error = compress(Compression::Gzip(10), b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains("10 is outside 1 to 9"),
        "{error}"
    );
    assert!(check(Compression::Zstd(23)).is_err());
    assert_eq!(check(Compression::ZSTD).is_ok(), cfg!(feature = "zstd"));
    assert!(check(Compression::Lz4(0)).is_err());
}

#[test]
fn a_compressor_that_is_used_again_writes_what_a_fresh_one_does() {
    let bodies = [text(300_000), noise(200_000), text(10), Vec::new()];
    for compression in built(&all()) {
        for body in bodies.iter().chain(&bodies) {
            let again = compress(compression, body).unwrap();
            let fresh = std::thread::scope(|scope| {
                let fresh = scope.spawn(|| compress(compression, body).unwrap());
                fresh.join().unwrap()
            });
            assert!(again == fresh, "{compression:?}");
            let back = decompress(compression.codec(), &again, body.len()).unwrap();
            assert!(back == body, "{compression:?}");
        }
    }
}

#[test]
fn gzip_changes_its_level_and_writes_the_header_of_others() {
    for level in [1, 6, 9, 6, 1] {
        let mut theirs = GzEncoder::new(Vec::new(), flate2::Compression::new(level));
        theirs.write_all(&text(100_000)).unwrap();
        let theirs = theirs.finish().unwrap();
        let ours = compress(Compression::Gzip(level), &text(100_000)).unwrap();
        assert_eq!(ours[..10], theirs[..10], "level {level}");
        let end = |packed: &[u8]| packed[packed.len() - 8..].to_vec();
        assert_eq!(end(&ours), end(&theirs), "level {level}");
    }
}

/// Returns bytes that no codec makes smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let byte = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(byte).take(len).collect()
}
