//! Data for the benchmarks.
