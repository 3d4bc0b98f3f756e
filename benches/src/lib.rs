//! Data for the benchmarks.

/// Returns `count` JSON-like values of exactly `size` bytes each. They are the same in every run.
///
/// Numbers differ from value to value and names repeat, so a batch of them compresses about as well
/// as orders do.
pub fn json_values(count: usize, size: usize) -> Vec<Vec<u8>> {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    (0..count).map(|_| json_value(&mut seed, size)).collect()
}

fn json_value(seed: &mut u64, size: usize) -> Vec<u8> {
    let mut text = String::with_capacity(size + 128);
    while text.len() < size {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        let random = *seed;
        let state = match random >> 20 & 3 {
            0 => "placed",
            1 => "paid",
            2 => "shipped",
            _ => "refunded",
        };
        text.push_str(&format!(
            r#"{{"order":{},"customer":"c{:06}","state":"{state}","cents":{},"at":17{:011}}}"#,
            random >> 40,
            random % 50_000,
            random >> 8 & 0xf_ffff,
            (random >> 16) % 100_000_000_000,
        ));
    }
    text.truncate(size);
    text.into_bytes()
}
