//! A request of the HTTP client.

use std::fmt;

use hyper::Method;

use super::url::HttpUrl;
use crate::secret::Secret;

/// A request: a method, an address, headers, and a body. Headers and body count as secrets.
#[derive(Clone)]
pub struct HttpRequest {
    pub(crate) method: Method,
    pub(crate) url: HttpUrl,
    /// Names with values, beside `Host` and the length.
    pub(crate) headers: Vec<(&'static str, Secret)>,
    /// The body. Empty for GET.
    pub(crate) body: Secret,
}

impl HttpRequest {
    /// Creates a GET request.
    #[must_use]
    pub fn get(url: HttpUrl) -> Self {
        Self::new(Method::GET, url)
    }

    /// Creates a PUT request without a body.
    #[must_use]
    pub fn put(url: HttpUrl) -> Self {
        Self::new(Method::PUT, url)
    }

    /// Creates a POST request with `body`, whose type is `content_type`.
    #[must_use]
    pub fn post(url: HttpUrl, content_type: &'static str, body: impl Into<Secret>) -> Self {
        let mut request = Self::new(Method::POST, url).header("content-type", content_type);
        request.body = body.into();
        request
    }

    /// Adds a header. `name` is in lower case.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Secret>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Returns the address.
    #[must_use]
    pub fn url(&self) -> &HttpUrl {
        &self.url
    }

    fn new(method: Method, url: HttpUrl) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            body: Secret::default(),
        }
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpRequest({} {})", self.method, self.url)
    }
}
