//! Bad input, batches that fail, and states that do not recover. Each has its own error, and the
//! producer can still be used where possible.

mod batches;
mod calls;
mod closing;
mod fatal;
mod logs;
mod observers;
mod settings;
