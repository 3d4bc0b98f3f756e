//! Tests that the binary formats equal Java's, and that every value survives a round trip.
//!
//! The vectors follow from the documentation of the Java platform: `ByteBuffer` in its initial
//! order (big-endian) with `putShort`, `putInt`, `putLong`, `Float.floatToRawIntBits` and
//! `Double.doubleToRawLongBits`, and `UUID.toString` in UTF-8.

use std::fmt::Debug;

use bytes::Bytes;
use milena_core::{ErrorKind, Headers, Result};
use milena_serializer::{
    BigEndianCodec, BoolCodec, BytesCodec, Deserializer, JsonCodec, Place, Serializer, TextCodec,
    UuidCodec, XmlCodec,
};
use proptest::prelude::*;
use uuid::Uuid;

fn write<T>(codec: &impl Serializer<T>, value: &T) -> Bytes {
    let mut headers = Headers::new();
    let bytes = codec.serialize(&"t".into(), &mut headers, value).unwrap();
    bytes.unwrap()
}

fn read<T>(codec: &impl Deserializer<T>, bytes: &[u8]) -> Result<T> {
    let bytes = Bytes::copy_from_slice(bytes);
    codec.deserialize(Place::value(&"t".into(), &Headers::new()), Some(&bytes))
}

fn golden<T: PartialEq + Debug, C: Serializer<T> + Deserializer<T>>(
    codec: &C,
    value: T,
    hex: &str,
) {
    let bytes = write(codec, &value);
    let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(written, hex, "{value:?}");
    assert_eq!(read(codec, &bytes).unwrap(), value);
}

#[test]
fn numbers_have_the_bytes_that_java_writes() {
    golden(&BigEndianCodec, 0x1234_i16, "1234");
    golden(&BigEndianCodec, i16::MIN, "8000");
    golden(&BigEndianCodec, 1_i32, "00000001");
    golden(&BigEndianCodec, -2_i32, "fffffffe");
    golden(
        &BigEndianCodec,
        0x0102_0304_0506_0708_i64,
        "0102030405060708",
    );
    golden(&BigEndianCodec, i64::MIN, "8000000000000000");
    golden(&BigEndianCodec, 1.0_f32, "3f800000");
    golden(&BigEndianCodec, -0.15625_f32, "be200000");
    golden(&BigEndianCodec, 1.0_f64, "3ff0000000000000");
    golden(&BigEndianCodec, std::f64::consts::PI, "400921fb54442d18");
    golden(&BigEndianCodec, f64::NEG_INFINITY, "fff0000000000000");
}

#[test]
fn truth_values_texts_and_uuids_have_the_bytes_that_java_writes() {
    golden(&BoolCodec, true, "01");
    golden(&BoolCodec, false, "00");
    golden(&TextCodec, "kø€𝄞".to_owned(), "6bc3b8e282acf09d849e");
    let uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    let text = "01234567-89ab-cdef-0123-456789abcdef";
    assert_eq!(&write(&UuidCodec, &uuid)[..], text.as_bytes());
    assert_eq!(read::<Uuid>(&UuidCodec, text.as_bytes()).unwrap(), uuid);
    let upper = text.to_uppercase();
    assert_eq!(read::<Uuid>(&UuidCodec, upper.as_bytes()).unwrap(), uuid);
}

#[test]
fn a_wrong_length_is_refused_and_names_both() {
    let error = read::<i32>(&BigEndianCodec, &[0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("8 bytes, but 4"), "{error}");
    for bad in [&[][..], &[0; 3], &[0; 5]] {
        assert!(read::<i32>(&BigEndianCodec, bad).is_err(), "{bad:?}");
    }
    assert!(read::<bool>(&BoolCodec, &[]).is_err());
    assert!(read::<bool>(&BoolCodec, &[2]).is_err());
    assert!(read::<Uuid>(&UuidCodec, &[0; 16]).is_err());
    assert!(read::<Uuid>(&UuidCodec, b"01234567-89ab-cdef-0123-456789abcdeg").is_err());
    assert!(read::<Uuid>(&UuidCodec, b"0123456789abcdef0123456789abcdef").is_err());
}

proptest! {
    #[test]
    fn every_number_comes_back(
        short in any::<i16>(), int in any::<i32>(), long in any::<i64>(), wide in any::<u128>(),
        single in any::<u32>(), double in any::<u64>(),
    ) {
        prop_assert_eq!(read::<i16>(&BigEndianCodec, &write(&BigEndianCodec, &short)).unwrap(), short);
        prop_assert_eq!(read::<i32>(&BigEndianCodec, &write(&BigEndianCodec, &int)).unwrap(), int);
        prop_assert_eq!(read::<i64>(&BigEndianCodec, &write(&BigEndianCodec, &long)).unwrap(), long);
        prop_assert_eq!(read::<u128>(&BigEndianCodec, &write(&BigEndianCodec, &wide)).unwrap(), wide);
        // Compare bits, because NaN does not equal itself.
        let (single, double) = (f32::from_bits(single), f64::from_bits(double));
        let back: f32 = read(&BigEndianCodec, &write(&BigEndianCodec, &single)).unwrap();
        prop_assert_eq!(back.to_bits(), single.to_bits());
        let back: f64 = read(&BigEndianCodec, &write(&BigEndianCodec, &double)).unwrap();
        prop_assert_eq!(back.to_bits(), double.to_bits());
    }

    #[test]
    fn every_text_byte_string_and_uuid_comes_back(text in any::<String>(), bytes in any::<Vec<u8>>(), uuid in any::<u128>()) {
        prop_assert_eq!(read::<String>(&TextCodec, &write(&TextCodec, &text)).unwrap(), text.clone());
        prop_assert_eq!(read::<Vec<u8>>(&BytesCodec, &write(&BytesCodec, &bytes)).unwrap(), bytes);
        let uuid = Uuid::from_u128(uuid);
        prop_assert_eq!(read::<Uuid>(&UuidCodec, &write(&UuidCodec, &uuid)).unwrap(), uuid);
        prop_assert_eq!(read::<String>(&JsonCodec, &write(&JsonCodec, &text)).unwrap(), text);
    }

    #[test]
    fn no_bytes_make_a_codec_panic(bytes in any::<Vec<u8>>()) {
        let _ = read::<i64>(&BigEndianCodec, &bytes);
        let _ = read::<String>(&TextCodec, &bytes);
        let _ = read::<Uuid>(&UuidCodec, &bytes);
        let _ = read::<Vec<u32>>(&JsonCodec, &bytes);
        let _ = read::<Vec<String>>(&XmlCodec, &bytes);
    }
}
