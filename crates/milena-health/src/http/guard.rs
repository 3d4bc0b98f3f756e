//! Checks before a request reaches the page. They ask for the token and refuse bodies.

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

/// Adds the checks to every path, unknown paths included.
pub(super) fn guarded(router: Router, token: Option<Arc<str>>) -> Router {
    router.layer(from_fn_with_state(token, pass))
}

/// Answers 401 without the right token, and 413 to a request with a body.
async fn pass(State(token): State<Option<Arc<str>>>, request: Request, next: Next) -> Response {
    if let Some(token) = token
        && !is_right(request.headers().get(header::AUTHORIZATION), &token)
    {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    if !request.body().is_end_stream() {
        let close = [(header::CONNECTION, "close")];
        return (StatusCode::PAYLOAD_TOO_LARGE, close).into_response();
    }
    next.run(request).await
}

/// Returns true if the header holds the token. The comparison takes the same time for any wrong
/// token of the same length.
fn is_right(given: Option<&HeaderValue>, token: &str) -> bool {
    let Some((scheme, given)) = given
        .map(HeaderValue::as_bytes)
        .and_then(|given| given.split_at_checked(BEARER.len()))
    else {
        return false;
    };
    scheme.eq_ignore_ascii_case(BEARER) && bool::from(given.ct_eq(token.as_bytes()))
}

const BEARER: &[u8] = b"Bearer ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_right() {
        let given = |text: &str| is_right(Some(&HeaderValue::from_str(text).unwrap()), "secret");
        assert!(given("Bearer secret"));
        assert!(given("bearer secret"));
        for wrong in [
            "Bearer secre",
            "Bearer secret2",
            "Bearer ",
            "Bearer",
            "Basic secret",
            "secret",
            "",
        ] {
            assert!(!given(wrong), "{wrong}");
        }
        assert!(!is_right(None, "secret"));
    }
}
