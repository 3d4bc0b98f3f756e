//! A request of any API of the table, decoded by its key, so that a broker can dispatch it.

use bytes::Bytes;
use kafka_protocol::messages;
use milena_core::{Error, ErrorKind, Result};

use crate::api::{ApiKey, with_apis};
use crate::request::{self, RequestHeader};

macro_rules! any_request {
    ($( $name:ident, $request:ident, $response:ident; )*) => {
        /// A request of any API that milena knows.
        ///
        /// It may be matched without a `_` arm. A broker that does so does not compile until it
        /// decides what becomes of a new API.
        #[derive(Clone, Debug)]
        pub enum AnyRequest {
            $(
                #[doc = concat!("A ", stringify!($name), " request.")]
                $name(Box<messages::$request>),
            )*
        }

        impl AnyRequest {
            /// Returns the API that the request belongs to.
            pub fn api(&self) -> ApiKey {
                match self {
                    $( Self::$name(_) => ApiKey::$name, )*
                }
            }

            fn decode_body(api: ApiKey, version: i16, body: Bytes) -> Result<Self> {
                Ok(match api {
                    $( ApiKey::$name => Self::$name(Box::new(
                        request::decode::<messages::$request>(body, version)?,
                    )), )*
                })
            }
        }
    };
}

with_apis!(any_request);

impl AnyRequest {
    /// Decodes the body that [`RequestHeader::split`] returned.
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`] if the API or its version is unknown
    /// - [`ErrorKind::Decode`] if the bytes are not such a request
    pub fn decode(header: &RequestHeader, body: Bytes) -> Result<Self> {
        let Some(api) = header.api() else {
            let what = format!("API key {} is unknown", header.api_key);
            return Err(Error::new(ErrorKind::Unsupported, what));
        };
        Self::decode_body(api, header.version, body)
    }
}
