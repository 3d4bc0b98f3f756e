//! The refusal of one item of a request.

use milena_core::ErrorCode;

/// The error code of a refused request, and the text that tells its sender why.
pub(crate) type Refused = (ErrorCode, String);
