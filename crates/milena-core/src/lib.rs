//! The shared words of milena: records, offsets, errors, and the seams between clients, handlers and observers.
