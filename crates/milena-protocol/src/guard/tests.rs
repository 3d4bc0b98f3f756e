//! Compares the shapes with `kafka-protocol`. Messages made up along a shape must decode, to the
//! last byte.

use bytes::Bytes;
use kafka_protocol::messages;
use kafka_protocol::protocol::{Decodable, Encodable};

use super::field::{Kind, Shape};
use super::{check_request, check_response, shapes};
use crate::api::{ApiKey, with_apis};
use crate::writer::{put_count, put_i32, put_str, put_uvarint};

/// Writes a message along a shape. Lists have zero to two elements, and either all tags are present
/// or none.
struct Maker {
    version: i16,
    flexible: bool,
    seed: u64,
    full: bool,
}

impl Maker {
    fn next(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    fn fields(&mut self, shape: Shape, out: &mut Vec<u8>) {
        for field in shape {
            if field.tag.is_none() && field.is_in(self.version) {
                self.value(field.kind, out);
            }
        }
        if !self.flexible {
            return;
        }
        let tags: Vec<_> = shape
            .iter()
            .filter(|field| self.full && field.tag.is_some() && field.is_in(self.version))
            .collect();
        put_uvarint(out, u32::try_from(tags.len()).unwrap() + 1);
        for field in tags {
            let mut content = Vec::new();
            self.value(field.kind, &mut content);
            put_uvarint(out, field.tag.unwrap());
            put_uvarint(out, u32::try_from(content.len()).unwrap());
            out.extend(content);
        }
        // This tag is unknown.
        out.extend([0xe7, 0x07, 2, 1, 2]);
    }

    fn value(&mut self, kind: Kind, out: &mut Vec<u8>) {
        let count = if self.full {
            1 + self.next(2)
        } else {
            self.next(2)
        };
        let count = usize::try_from(count).unwrap();
        match kind {
            // Zero and one are valid values for numbers, flags and null markers alike.
            Kind::Fixed(size) => out.extend((0..size).map(|_| 1)),
            Kind::Text => put_str(out, Some("ab".repeat(count).as_str()), self.flexible).unwrap(),
            Kind::Blob if self.flexible => {
                put_uvarint(out, 4);
                out.extend([7, 8, 9]);
            }
            Kind::Blob => {
                put_i32(out, 3);
                out.extend([7, 8, 9]);
            }
            Kind::FixedList(size) => {
                put_count(out, count, self.flexible).unwrap();
                out.extend((0..size * count).map(|_| 1));
            }
            Kind::Texts => {
                put_count(out, count, self.flexible).unwrap();
                (0..count).for_each(|_| self.value(Kind::Text, out));
            }
            Kind::List(shape) => {
                put_count(out, count, self.flexible).unwrap();
                (0..count).for_each(|_| self.fields(shape, out));
            }
            Kind::Nested(shape) => self.fields(shape, out),
            Kind::Maybe(shape) => {
                out.push(if self.full { 1 } else { 0xff });
                if self.full {
                    self.fields(shape, out);
                }
            }
        }
    }
}

fn make(shape: Shape, api: ApiKey, version: i16, seed: u64) -> Bytes {
    let mut maker = Maker {
        version,
        flexible: api.is_flexible(version),
        seed: seed * 77 + 1,
        full: !seed.is_multiple_of(2),
    };
    let mut out = Vec::new();
    maker.fields(shape, &mut out);
    Bytes::from(out)
}

/// Decodes to the last byte and encodes again.
fn agree<M: Decodable + Encodable>(bytes: &Bytes, version: i16, what: &str) {
    let mut rest = bytes.clone();
    let read = M::decode(&mut rest, version);
    let Ok(read) = read else {
        panic!("{what} v{version}: {:?}", read.err())
    };
    assert!(
        rest.is_empty(),
        "{what} v{version}: {} bytes left",
        rest.len()
    );
    let mut again = Vec::new();
    // An encoding leaves out known tags with their default value, which the message may hold. So it
    // may be shorter.
    if read.encode(&mut again, version).is_ok() {
        assert!(again.len() <= bytes.len(), "{what} v{version}");
    }
}

macro_rules! every_shape {
    ($( $name:ident, $request:ident, $response:ident; )*) => {
        #[test]
        fn kafka_protocol_reads_every_shape_to_its_last_byte_in_every_version() {
            $(
                let api = ApiKey::$name;
                let known = api.known();
                for version in known.min..=known.max {
                    for seed in 0..8 {
                        let bytes = make(shapes::request(api), api, version, seed);
                        check_request(api, version, &bytes).unwrap();
                        agree::<messages::$request>(&bytes, version, stringify!($request));
                        let bytes = make(shapes::response(api), api, version, seed);
                        check_response(api, version, &bytes).unwrap();
                        agree::<messages::$response>(&bytes, version, stringify!($response));
                    }
                }
            )*
        }

        /// Decodes what the guard let through. This must end without a panic and without a large
        /// reservation.
        fn decode_guarded(api: ApiKey, version: i16, bytes: &Bytes) {
            match api {
                $( ApiKey::$name => {
                    if check_request(api, version, bytes).is_ok() {
                        let _ = messages::$request::decode(&mut bytes.clone(), version);
                    }
                    if check_response(api, version, bytes).is_ok() {
                        let _ = messages::$response::decode(&mut bytes.clone(), version);
                    }
                } )*
            }
        }
    };
}

with_apis!(every_shape);

#[test]
fn a_cut_message_never_passes_the_guard() {
    for api in ApiKey::ALL.iter().copied() {
        for version in api.known().min..=api.known().max {
            let bytes = make(shapes::response(api), api, version, 3);
            for cut in 0..bytes.len() {
                assert!(
                    check_response(api, version, &bytes[..cut]).is_err(),
                    "{api} v{version} cut at {cut}"
                );
            }
        }
    }
}

#[test]
fn changed_messages_are_refused_or_decode_within_their_means() {
    for api in ApiKey::ALL.iter().copied() {
        for version in api.known().min..=api.known().max {
            for shape in [shapes::request(api), shapes::response(api)] {
                let bytes = make(shape, api, version, 5);
                for at in 0..bytes.len() {
                    for value in [0x00, 0x7f, 0x80, 0xff] {
                        let mut changed = bytes.to_vec();
                        changed[at] = value;
                        decode_guarded(api, version, &Bytes::from(changed));
                    }
                }
            }
        }
    }
}

#[test]
fn counts_that_would_reserve_gigabytes_are_refused() {
    // A Metadata answer, version 12, whose broker array has the count 2^31.
    let huge = [
        0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x07, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert!(check_response(ApiKey::Metadata, 12, &huge).is_err());
    let http = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nnope.";
    for api in ApiKey::ALL.iter().copied() {
        for version in api.known().min..=api.known().max {
            decode_guarded(api, version, &Bytes::from_static(http));
        }
    }
    assert!(check_response(ApiKey::Metadata, 4, http).is_err());
}
