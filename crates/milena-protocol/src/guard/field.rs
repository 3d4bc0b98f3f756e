//! How a message's shape is written down: fields in wire order, with the versions that have them.

/// The fields of a struct, in wire order, tagged ones last.
pub(super) type Shape = &'static [Field];

/// One field, or several neighbours of fixed size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) min: i16,
    pub(super) max: i16,
    pub(super) tag: Option<u32>,
    pub(super) kind: Kind,
}

impl Field {
    pub(super) const fn is_in(&self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

/// What a field is, as far as its bytes on the wire go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A string, perhaps null.
    Text,
    /// Bytes, perhaps null.
    Blob,
    /// Elements of so many bytes each.
    FixedList(usize),
    /// Strings.
    Texts,
    /// Structs.
    List(Shape),
    /// A struct.
    Nested(Shape),
    /// A struct that may be null.
    Maybe(Shape),
}

pub(super) const fn all(kind: Kind) -> Field {
    within(0, i16::MAX, kind)
}

pub(super) const fn since(min: i16, kind: Kind) -> Field {
    within(min, i16::MAX, kind)
}

pub(super) const fn until(max: i16, kind: Kind) -> Field {
    within(0, max, kind)
}

pub(super) const fn within(min: i16, max: i16, kind: Kind) -> Field {
    Field {
        min,
        max,
        tag: None,
        kind,
    }
}

pub(super) const fn tagged(tag: u32, min: i16, kind: Kind) -> Field {
    Field {
        min,
        max: i16::MAX,
        tag: Some(tag),
        kind,
    }
}
