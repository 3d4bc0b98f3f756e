//! lz4 frames of every form, against the frame writer and reader of `lz4_flex`, and by hand.

use std::io::{Read, Write};

use lz4_flex::block::{
    compress as compress_block, compress_with_dict, decompress_into, decompress_into_with_dict,
};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use proptest::prelude::*;
use twox_hash::XxHash32;

use super::*;

fn compress(body: &[u8]) -> Result<Vec<u8>> {
    super::compress(body).map(|out| out.since(0).to_vec())
}

fn theirs(info: FrameInfo, body: &[u8]) -> Vec<u8> {
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Every combination of what a frame may be.
fn forms(len: usize) -> impl Iterator<Item = FrameInfo> {
    let sizes = [
        BlockSize::Max64KB,
        BlockSize::Max256KB,
        BlockSize::Max1MB,
        BlockSize::Max4MB,
    ];
    (0..64).map(move |bits: usize| {
        FrameInfo::new()
            .block_size(sizes[bits & 3])
            .block_mode(match bits & 4 {
                0 => BlockMode::Independent,
                _ => BlockMode::Linked,
            })
            .block_checksums(bits & 8 != 0)
            .content_checksum(bits & 16 != 0)
            .content_size((bits & 32 != 0).then_some(len as u64))
    })
}

/// Bytes that repeat themselves over some distance, with noise between.
fn body(len: usize, distance: usize, noise: u64) -> Vec<u8> {
    let mut seed = noise | 1;
    let mut bytes: Vec<u8> = Vec::with_capacity(len);
    while bytes.len() < len {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let back = bytes.len().checked_sub(distance);
        match back.filter(|_| !seed.is_multiple_of(1 + noise % 60)) {
            Some(at) => bytes.push(bytes[at]),
            None => bytes.push((seed >> 33) as u8),
        }
    }
    bytes
}

fn refusal(bytes: &[u8]) -> String {
    decompress(bytes, 1 << 20).unwrap_err().to_string()
}

#[test]
fn frames_of_every_form_are_read() {
    for len in [0, 1, 13, 65_535, 65_536, 65_537, 300_000] {
        let body = body(len, 40_000, 77);
        for info in forms(len) {
            let packed = theirs(info.clone(), &body);
            assert!(
                decompress(&packed, len).unwrap() == body,
                "{len} as {info:?}"
            );
        }
    }
}

#[test]
fn our_frames_are_read_by_others() {
    for len in [0, 1, 13, 65_535, 65_536, 65_537, 300_000] {
        for distance in [1, 7, 500, 400_000] {
            let body = body(len, distance, 9);
            let packed = compress(&body).unwrap();
            let mut back = Vec::new();
            FrameDecoder::new(&packed[..])
                .read_to_end(&mut back)
                .unwrap();
            assert!(back == body, "{len} bytes, {distance} back");
        }
    }
}

#[test]
fn frames_one_behind_the_other_are_one_body_and_skippable_ones_nothing() {
    let mut packed = compress(b"one ").unwrap();
    packed.extend([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    let linked = FrameInfo::new().block_mode(BlockMode::Linked);
    packed.extend(theirs(linked.content_checksum(true), b"two two two two "));
    packed.extend(compress(b"three").unwrap());
    assert_eq!(
        decompress(&packed, 100).unwrap(),
        "one two two two two three"
    );
}

#[test]
fn a_linked_frame_refers_to_nothing_before_itself() {
    // A match four bytes back, in the first block of a second frame.
    let mut packed = compress(b"before").unwrap();
    packed.extend([0x04, 0x22, 0x4d, 0x18, 0x40, 0x40]);
    packed.push(header_checksum(&[0x40, 0x40]));
    packed.extend([4, 0, 0, 0, 0x00, 4, 0, 0x00, 0, 0, 0, 0]);
    assert!(refusal(&packed).contains("does not decompress"));
}

#[test]
fn golden_bytes_are_read() {
    // By the lz4 command, version 1.9.4: `printf hello | lz4`, which stores it as it is.
    let plain = [
        0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7, 0x05, 0x00, 0x00, 0x80, b'h', b'e', b'l', b'l',
        b'o', 0x00, 0x00, 0x00, 0x00, 0xf9, 0x77, 0x00, 0xfb,
    ];
    assert_eq!(decompress(&plain, 5).unwrap(), "hello");
    // Written by `lz4 -B4 -BD -BX --content-size` from 66,000 bytes. It has two blocks, of which
    // the second refers to the first, and all checksums.
    let mut linked = vec![
        0x04, 0x22, 0x4d, 0x18, 0x5c, 0x40, 0xd0, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe5,
        0x16, 0x01, 0x00, 0x00, 0xcf, 0x73, 0x6f, 0x20, 0x69, 0x74, 0x20, 0x67, 0x6f, 0x65, 0x73,
        0x3b, 0x20, 0x0c, 0x00,
    ];
    linked.extend([0xff; 256]);
    linked.extend([
        0xdc, 0x50, 0x20, 0x73, 0x6f, 0x20, 0x69, 0xb7, 0xe1, 0x6b, 0x51, 0x0b, 0x00, 0x00, 0x00,
        0x0f, 0xfc, 0xff, 0xff, 0xb9, 0x50, 0x6f, 0x65, 0x73, 0x3b, 0x20, 0x98, 0x6e, 0xd2, 0xc9,
        0x00, 0x00, 0x00, 0x00, 0x29, 0xaa, 0xde, 0x34,
    ]);
    assert!(decompress(&linked, 66_000).unwrap() == b"so it goes; ".repeat(5_500));
}

#[test]
fn checksums_are_held_against_the_bytes() {
    let body = body(100_000, 300, 5);
    let info = FrameInfo::new().block_size(BlockSize::Max64KB);
    let blocks = theirs(info.clone().block_checksums(true), &body);
    let mut changed = blocks.clone();
    changed[200] ^= 1;
    assert!(refusal(&changed).contains("a block has checksum"));
    let content = theirs(info.content_checksum(true), &body);
    let mut changed = content.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(refusal(&changed).contains("the content has checksum"));
    let mut changed = content;
    changed[6] ^= 1;
    assert!(refusal(&changed).contains("checksum of its header"));
}

#[test]
fn a_frame_that_ends_early_or_lies_about_its_size_is_refused() {
    let body = body(70_000, 300, 5);
    let info = FrameInfo::new().content_size(Some(70_000));
    let packed = theirs(info.content_checksum(true), &body);
    for cut in 1..packed.len() {
        assert!(decompress(&packed[..cut], 1 << 20).is_err(), "{cut}");
    }
    let mut lie = packed;
    lie[6] ^= 1;
    let end = header_end(&lie).unwrap();
    lie[end] = header_checksum(&lie[4..end]);
    assert!(refusal(&lie).contains("a frame of"));
    assert!(refusal(&[]).contains("empty"));
    assert!(refusal(b"GZIP").contains("no frame begins with"));
}

#[test]
fn headers_of_other_kinds_are_refused_by_name() {
    let header = |flags: u8, sizes: u8| {
        let checksum = header_checksum(&[flags, sizes]);
        let bytes = [0x04, 0x22, 0x4d, 0x18, flags, sizes, checksum, 0, 0, 0, 0];
        refusal(&bytes)
    };
    assert!(header(0xa0, 0x40).contains("version"));
    assert!(header(0x62, 0x40).contains("reserved"));
    assert!(header(0x60, 0xc0).contains("reserved"));
    assert!(header(0x61, 0x40).contains("dictionary"));
    assert!(header(0x60, 0x30).contains("block size"));
}

#[test]
fn a_frame_header_with_the_checksum_of_format_v0_is_mended() {
    let body = b"so it goes, so it goes, so it goes".repeat(9);
    let good = compress(&body).unwrap();
    let end = header_end(&good).unwrap();
    assert_eq!(mended(&good), good, "our checksum is lz4's own");
    let mut old = good.clone();
    old[end] = (XxHash32::oneshot(0, &good[..end]) >> 8) as u8;
    assert_ne!(old, good);
    assert!(decompress(&old, 10_000).is_err());
    assert_eq!(decompress_v0(&old, 10_000).unwrap(), body);
}

/// Decompresses a block as its format is described, byte by byte, behind what `out` holds. `None`
/// where the block breaks the format or needs more than `most` bytes.
///
/// The decoder that milena uses copies by raw pointers. This one cannot be wrong in that way.
fn by_the_book(block: &[u8], out: &mut Vec<u8>, most: usize) -> Option<usize> {
    let start = out.len();
    let mut input = block.iter().copied();
    let long = |nibble: u8, input: &mut dyn Iterator<Item = u8>| {
        let mut len = usize::from(nibble);
        if nibble == 15 {
            loop {
                let more = input.next()?;
                len += usize::from(more);
                if more != 255 {
                    break;
                }
            }
        }
        Some(len)
    };
    loop {
        let token = input.next()?;
        for _ in 0..long(token >> 4, &mut input)? {
            out.push(input.next()?);
        }
        if out.len() - start > most {
            return None;
        }
        if input.len() == 0 {
            return Some(out.len() - start);
        }
        let offset = usize::from(u16::from_le_bytes([input.next()?, input.next()?]));
        let len = 4 + long(token & 15, &mut input)?;
        if offset == 0 || offset > out.len() || out.len() - start + len > most {
            return None;
        }
        for _ in 0..len {
            out.push(out[out.len() - offset]);
        }
    }
}

/// Decompresses `block` into `room` bytes with guards around them, and holds the result against
/// [`by_the_book`].
fn decodes_by_the_book(block: &[u8], window: &[u8], room: usize) {
    const GUARD: usize = 64;
    let mut memory = vec![0xa5; GUARD + room + GUARD];
    // In memory of its own size, so that a checked allocator sees a read behind its end.
    let block: Box<[u8]> = block.into();
    let out = &mut memory[GUARD..GUARD + room];
    let written = match window {
        [] => decompress_into(&block, out),
        window => decompress_into_with_dict(&block, out, window),
    };
    let mut book = window.to_vec();
    match by_the_book(&block, &mut book, room) {
        Some(len) => {
            assert_eq!(written.unwrap(), len);
            assert!(memory[GUARD..GUARD + len] == book[window.len()..]);
        }
        None => assert!(written.is_err()),
    }
    let (before, behind) = (&memory[..GUARD], &memory[GUARD + room..]);
    assert!(before.iter().chain(behind).all(|byte| *byte == 0xa5));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("MILENA_TEST_LZ4_CASES").map_or(4_000, |cases| cases.parse().unwrap()),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_changed_block_is_decoded_by_the_book_and_within_its_room(
        len in 0usize..3_000,
        distance in 1usize..200,
        noise in any::<u64>(),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6),
        cut in any::<usize>(),
        cuts in any::<bool>(),
        window in prop_oneof![Just(0usize), 1..300usize],
        spare in -40isize..60,
    ) {
        let whole = body(window + len, distance, noise);
        let mut packed = match window {
            0 => compress_block(&whole),
            window => compress_with_dict(&whole[window..], &whole[..window]),
        };
        for (at, byte) in changes {
            let at = at % packed.len();
            packed[at] = byte;
        }
        if cuts {
            packed.truncate(cut % (packed.len() + 1));
        }
        decodes_by_the_book(&packed, &whole[..window], len.saturating_add_signed(spare));
    }

    #[test]
    fn any_bytes_as_a_block_are_decoded_by_the_book_and_within_their_room(
        block in proptest::collection::vec(
            prop_oneof![any::<u8>(), 0u8..3, Just(0xf0), Just(0x0f), Just(0xff)],
            0..200,
        ),
        window in prop_oneof![Just(0usize), 1..64usize],
        room in 0usize..2_000,
    ) {
        decodes_by_the_book(&block, &body(window, 9, 3), room);
    }
}

proptest! {
    #[test]
    fn any_body_in_any_form_comes_back(
        len in 0usize..300_000,
        distance in 1usize..100_000,
        noise in any::<u64>(),
        form in 0usize..64,
    ) {
        let body = body(len, distance, noise);
        let info = forms(len).nth(form).unwrap();
        prop_assert!(decompress(&theirs(info, &body), len).unwrap() == body);
        prop_assert!(decompress(&compress(&body).unwrap(), len).unwrap() == body);
    }

    #[test]
    fn changed_bytes_never_panic(
        len in 0usize..2_000,
        form in 0usize..64,
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6),
    ) {
        let body = body(len, 90, 7);
        let mut packed = theirs(forms(len).nth(form).unwrap(), &body);
        for (at, byte) in changes {
            let at = at % packed.len();
            packed[at] = byte;
        }
        let _ = decompress(&packed, 4_000);
        // The same past the checksums.
        if let Some(end) = header_end(&packed) {
            packed[end] = header_checksum(&packed[4..end]);
            let _ = decompress(&packed, 4_000);
        }
    }
}
