//! User types to bytes and back: codecs and the extractors over them.
