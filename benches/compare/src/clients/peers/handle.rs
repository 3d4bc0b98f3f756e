//! Creates a client of librdkafka's C interface from its settings.
#![expect(unsafe_code, reason = "the interface is C's")]

use std::ffi::{CStr, CString, c_char};

use rdkafka::bindings as c;

use crate::clients::text;

/// Creates a client that lives until the process ends. `prepare` gets the configuration before the
/// client owns it.
pub(crate) fn open(
    kind: c::rd_kafka_type_t,
    settings: Vec<(&'static str, String)>,
    prepare: impl FnOnce(*mut c::rd_kafka_conf_t),
) -> Result<*mut c::rd_kafka_t, String> {
    let mut error: [c_char; 256] = [0; 256];
    // SAFETY: each call gets live, terminated strings and the configuration that the first call
    // returned. The client owns the configuration once it is created.
    unsafe {
        let conf = c::rd_kafka_conf_new();
        for (key, value) in settings {
            let (name, value) = (
                CString::new(key).map_err(text)?,
                CString::new(value).map_err(text)?,
            );
            let (at, len) = (error.as_mut_ptr(), error.len());
            let answer = c::rd_kafka_conf_set(conf, name.as_ptr(), value.as_ptr(), at, len);
            if answer as i32 != 0 {
                return Err(said(&error));
            }
        }
        prepare(conf);
        let handle = c::rd_kafka_new(kind, conf, error.as_mut_ptr(), error.len());
        if handle.is_null() {
            return Err(said(&error));
        }
        Ok(handle)
    }
}

fn said(error: &[c_char]) -> String {
    // SAFETY: librdkafka terminates the text that it writes, and the buffer began as zeros.
    let error = unsafe { CStr::from_ptr(error.as_ptr()) };
    error.to_string_lossy().into_owned()
}
