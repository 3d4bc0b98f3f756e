//! The context of a trace, in the header form of W3C Trace Context.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use milena_core::Headers;

/// The trace that a record or a future belongs to, its parent span, and the sampled flag.
///
/// # References
/// W3C Trace Context, level 1, sections 3.2 (`traceparent`) and 3.3 (`tracestate`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace id. Never 0.
    trace: u128,
    /// The id of the parent span. Never 0.
    span: u64,
    /// The flags as they were read. Only bit 0, "sampled", has a meaning here.
    flags: u8,
    /// The `tracestate`, which milena passes on and never reads. `None` if there is none. At most
    /// 512 bytes of ASCII.
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// Makes a context. Returns `None` if an id is zero, which the standard reserves for "no id".
    #[must_use]
    pub fn new(trace: u128, span: u64, sampled: bool) -> Option<Self> {
        (trace != 0 && span != 0).then_some(Self {
            trace,
            span,
            flags: u8::from(sampled),
            state: None,
        })
    }

    /// Begins a trace that is not recorded. Later stages see the flag and do not decide again.
    pub(crate) fn unsampled() -> Self {
        Self {
            trace: u128::from(fastrand::u64(..)) << 64 | u128::from(fastrand::u64(1..)),
            span: fastrand::u64(1..),
            flags: 0,
            state: None,
        }
    }

    /// Reads the value of a `traceparent` header. Returns `None` if it is not valid, as the
    /// standard asks.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::read(text.as_bytes())
    }

    /// Reads a `traceparent` value of version 00, or the part of a later version that is known.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (known, more) = bytes.split_at_checked(LENGTH)?;
        let dash = |at: usize| known.get(at) == Some(&b'-');
        let digits = |from: usize| known.get(from..from + 16).and_then(hex16);
        let pair = |from: usize| known.get(from..from + 2).and_then(hex2);
        if !(dash(2) && dash(35) && dash(52)) {
            return None;
        }
        let fits = match pair(0)? {
            0xff => false,
            0 => more.is_empty(),
            // Later versions may append further fields after another dash.
            _ => more.first().is_none_or(|byte| *byte == b'-'),
        };
        let trace = u128::from(digits(3)?) << 64 | u128::from(digits(19)?);
        let flags = pair(53)?;
        let context = Self::new(trace, digits(36)?, false)?;
        fits.then_some(Self { flags, ..context })
    }

    /// Sets the `tracestate`, which is passed on unchanged. A value over 512 bytes, or one that is
    /// not ASCII, is dropped.
    #[must_use]
    pub fn with_state(mut self, state: &str) -> Self {
        let fits = !state.is_empty() && state.len() <= STATE_CAP && state.is_ascii();
        self.state = fits.then(|| state.into());
        self
    }

    /// Reads the context from a record's headers. If a header occurs several times, the last one
    /// counts.
    #[must_use]
    pub fn extract(headers: &Headers) -> Option<Self> {
        let (mut parent, mut state) = (None, None);
        for header in headers.iter() {
            match header.key {
                PARENT_KEY => parent = header.value,
                STATE_KEY => state = header.value,
                _ => {}
            }
        }
        let context = Self::read(parent?)?;
        Some(
            match state.and_then(|state| std::str::from_utf8(state).ok()) {
                Some(state) => context.with_state(state),
                None => context,
            },
        )
    }

    /// Writes the context into a record's headers and replaces a context that is there.
    pub fn inject(&self, headers: &mut Headers) {
        headers.set(PARENT, Bytes::copy_from_slice(&self.to_bytes()));
        match &self.state {
            Some(state) => headers.set(STATE, state.as_bytes().to_vec()),
            None => headers.remove(STATE),
        }
    }

    /// Returns the value of a `traceparent` header, in version 00.
    fn to_bytes(&self) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let [_, _, _, rest @ ..] = &mut text;
        let (trace, rest) = rest.split_at_mut(32);
        let (span, flags) = rest.split_at_mut(17);
        write_hex(trace, &self.trace.to_be_bytes());
        write_hex(
            span.get_mut(1..).unwrap_or_default(),
            &self.span.to_be_bytes(),
        );
        // Version 00 defines only "sampled". The standard forbids passing on other bits.
        if let Some(last) = flags.last_mut() {
            *last = b'0' + (self.flags & 1);
        }
        text
    }

    /// Returns the context of the code that runs now, set by a layer or by
    /// [`in_trace`](Self::in_trace). Returns `None` outside of both.
    #[must_use]
    pub fn current() -> Option<Self> {
        crate::current::current()
    }

    /// Runs `future` as a part of this trace. Records that it sends through a
    /// [`TraceSendLayer`](crate::TraceSendLayer) belong to the trace. Use it for tasks that a
    /// handler spawns.
    pub fn in_trace<F: Future>(self, future: F) -> crate::InTrace<F> {
        crate::InTrace::new(Some(self), future)
    }

    /// Returns the trace id.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.trace
    }

    /// Returns the id of the span that new spans become children of.
    #[must_use]
    pub fn span_id(&self) -> u64 {
        self.span
    }

    /// Returns true if the trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// Returns the `tracestate`, or `None` if there is none.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// Writes the value of a `traceparent` header, in version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written in one piece, because the formatter would pad each part by itself.
        f.write_str(std::str::from_utf8(&self.to_bytes()).unwrap_or_default())
    }
}

/// Writes two hexadecimal digits for each byte.
fn write_hex(text: &mut [u8], bytes: &[u8]) {
    for (digits, byte) in text.chunks_exact_mut(2).zip(bytes) {
        let digit = |value: u8| {
            if value < 10 {
                b'0' + value
            } else {
                b'a' - 10 + value
            }
        };
        digits.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
}

/// Returns the value of 16 hexadecimal digits. Accepts lower case only, as the standard asks.
fn hex16(digits: &[u8]) -> Option<u64> {
    let (high, low) = digits.split_at_checked(8)?;
    Some(u64::from(hex8(high)?) << 32 | u64::from(hex8(low)?))
}

/// Returns the value of 8 hexadecimal digits, or `None` if one is not a lower-case digit.
///
/// Reads all 8 at once, one byte of a machine word each. This runs for most records, and a branch
/// per digit would be mispredicted because the digits of an id are random.
fn hex8(digits: &[u8]) -> Option<u32> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let text = u64::from_be_bytes(digits.try_into().ok()?);
    // In ASCII, bit 6 is set for letters and clear for figures, and the low half of a letter is 1
    // for `a`. Adding 9 to it gives 10.
    let nibbles = (text & (EACH * 0x0f)) + 9 * (text >> 6 & EACH);
    let letters = (nibbles + EACH * 6) >> 4 & EACH;
    let written = nibbles + EACH * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1);
    let pairs = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    let are_digits = written == text && nibbles & (EACH * 0x10) == 0;
    are_digits.then_some((fours | fours >> 16) as u32)
}

/// Returns the value of two hexadecimal digits.
fn hex2(digits: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    match digits {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    }
}

/// The length of a `traceparent` in version 00.
const LENGTH: usize = 55;

/// The header that holds the trace id, the span id and the flags.
const PARENT: &str = "traceparent";
const PARENT_KEY: &[u8] = PARENT.as_bytes();
/// The header that holds the vendors' own data.
const STATE: &str = "tracestate";
const STATE_KEY: &[u8] = STATE.as_bytes();
/// The `tracestate` size in bytes that the standard asks every implementation to support.
const STATE_CAP: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let context = TraceContext::parse(EXAMPLE).unwrap();
        assert_eq!(
            context.trace_id(),
            0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736
        );
        assert_eq!(context.span_id(), 0x00f0_67aa_0ba9_02b7);
        assert!(context.is_sampled());
        assert_eq!(context.to_string(), EXAMPLE);
    }

    #[test]
    fn what_is_not_valid_is_as_if_it_were_not_there() {
        let zeros = "0".repeat(32);
        let wrong = [
            "",
            "00",
            "garbage",
            &EXAMPLE[..54],
            &format!("{EXAMPLE}-more"),
            &EXAMPLE.replace("00-4b", "ff-4b"),
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &zeros),
            &EXAMPLE.replace("00f067aa0ba902b7", &zeros[..16]),
            &EXAMPLE.replace("-00f0", "_00f0"),
            &EXAMPLE.replace("-01", "-zz"),
            &EXAMPLE.replace("4bf9", "+bf9"),
            "00-äbf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ];
        for text in wrong {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_byte_that_is_no_digit_is_told_from_those_that_are() {
        for byte in 0..=u8::MAX {
            let value = char::from(byte)
                .to_digit(16)
                .filter(|_| !byte.is_ascii_uppercase());
            assert_eq!(
                hex2(&[b'4', byte]).map(u32::from),
                value.map(|value| 0x40 | value)
            );
            for place in 0..8 {
                let mut digits = *b"89abcdef";
                digits[place] = byte;
                let others = 0x89ab_cdef_u32 & !(0xf << (28 - 4 * place));
                let expected = value.map(|value| others | value << (28 - 4 * place));
                assert_eq!(hex8(&digits), expected, "{byte} at {place}");
            }
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = EXAMPLE.replace("00-4b", "cc-4b") + "-what-comes";
        assert_eq!(TraceContext::parse(&later).unwrap().to_string(), EXAMPLE);
        assert_eq!(TraceContext::parse(&later.replace("01-w", "01w")), None);
    }

    #[test]
    fn headers_hold_one_context_however_often_it_is_written() {
        let mut headers = Headers::new();
        assert_eq!(TraceContext::extract(&headers), None);
        headers.push("traceparent", "garbage");
        headers.push("tracestate", "old=1");
        headers.push("shop", "7");
        assert_eq!(TraceContext::extract(&headers), None);
        let context = TraceContext::parse(EXAMPLE).unwrap();
        let stated = context.clone().with_state("vendor=opaque");
        stated.inject(&mut headers);
        stated.inject(&mut headers);
        assert_eq!(TraceContext::extract(&headers), Some(stated));
        assert_eq!(headers.len(), 3);
        context.inject(&mut headers);
        assert_eq!(TraceContext::extract(&headers), Some(context));
        assert_eq!(headers.text("tracestate"), None);
    }

    #[test]
    fn an_overlong_state_is_left_out() {
        let context = TraceContext::parse(EXAMPLE).unwrap();
        assert_eq!(context.clone().with_state(&"a".repeat(513)).state(), None);
        assert_eq!(context.with_state("ä=1").state(), None);
    }
}
