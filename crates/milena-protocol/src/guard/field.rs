//! The notation for a message's shape, as fields in wire order, with the versions that have them.

/// The fields of a struct, in wire order, tagged ones last.
pub(super) type Shape = &'static [Field];

/// One field, or several neighbours of fixed size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// The first version that has the field.
    pub(super) min: i16,
    /// The last version that has the field.
    pub(super) max: i16,
    /// The tag. `None` if the field is not tagged.
    pub(super) tag: Option<u32>,
    /// The type of the field.
    pub(super) kind: Kind,
}

impl Field {
    /// Returns true if `version` has the field.
    pub(super) const fn is_in(&self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

/// The type of a field, as far as its bytes on the wire matter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A number of bytes.
    Fixed(usize),
    /// A string, perhaps null.
    Text,
    /// Bytes, perhaps null.
    Blob,
    /// An array whose elements have this many bytes each.
    FixedList(usize),
    /// An array of strings.
    Texts,
    /// An array of structs.
    List(Shape),
    /// A struct.
    Nested(Shape),
    /// A struct that may be null.
    Maybe(Shape),
}

/// Returns a field that all versions have.
pub(super) const fn all(kind: Kind) -> Field {
    within(0, i16::MAX, kind)
}

/// Returns a field that versions from `min` on have.
pub(super) const fn since(min: i16, kind: Kind) -> Field {
    within(min, i16::MAX, kind)
}

/// Returns a field that versions up to `max` have.
pub(super) const fn until(max: i16, kind: Kind) -> Field {
    within(0, max, kind)
}

/// Returns a field that versions from `min` to `max` have.
pub(super) const fn within(min: i16, max: i16, kind: Kind) -> Field {
    Field {
        min,
        max,
        tag: None,
        kind,
    }
}

/// Returns a tagged field that versions from `min` on have.
pub(super) const fn tagged(tag: u32, min: i16, kind: Kind) -> Field {
    Field {
        min,
        max: i16::MAX,
        tag: Some(tag),
        kind,
    }
}
