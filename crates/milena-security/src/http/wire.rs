//! One request on one stream, with a cap on the answer.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, LOCATION};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use milena_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use super::answer::HttpAnswer;
use super::request::HttpRequest;
use super::url::HttpUrl;
use crate::secret::Secret;

/// Sends `request` to `url` over `stream`, and reads an answer of at most `most` bytes.
pub(crate) async fn exchange<S>(
    request: &HttpRequest,
    url: &HttpUrl,
    stream: S,
    most: usize,
) -> Result<HttpAnswer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let message = message(request, url)?;
    let opened = http1::Builder::new().handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(|error| broke(url, error))?;
    let mut asking = std::pin::pin!(async move {
        let answer = sender
            .send_request(message)
            .await
            .map_err(|error| broke(url, error))?;
        read(answer, url, most).await
    });
    // The connection moves the bytes while the request waits. It may end before the last of them
    // was read.
    tokio::select! {
        answer = &mut asking => return answer,
        _ = connection => {}
    }
    asking.await
}

/// Makes the message with its own `Host`.
fn message(request: &HttpRequest, url: &HttpUrl) -> Result<Request<Full<Bytes>>> {
    let unusable = |_| {
        Error::new(
            ErrorKind::Config,
            "a header of an HTTP request cannot be sent",
        )
    };
    let mut builder = Request::builder()
        .method(request.method.clone())
        .uri(url.path())
        .header(HOST, url.authority());
    for (name, value) in &request.headers {
        let mut value = HeaderValue::from_bytes(value.expose()).map_err(|_| unusable(()))?;
        value.set_sensitive(true);
        builder = builder.header(*name, value);
    }
    // The bytes are shared with the secret and not copied, so that they are wiped with it.
    let body = Bytes::from_owner(Body(request.body.clone()));
    builder.body(Full::new(body)).map_err(|_| unusable(()))
}

/// A secret as the bytes of a message.
struct Body(Secret);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// Reads an answer, and refuses one that is longer than `most` bytes.
async fn read(answer: Response<Incoming>, url: &HttpUrl, most: usize) -> Result<HttpAnswer> {
    let status = answer.status().as_u16();
    let location = answer.headers().get(LOCATION);
    let location = location
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let mut body = answer.into_body();
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| broke(url, error))?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > most {
            let text = format!("the answer of {url} is longer than {most} bytes");
            return Err(Error::new(ErrorKind::Decode, text));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(HttpAnswer {
        status,
        location,
        body: Secret::new(std::mem::take(&mut *bytes)),
    })
}

fn broke(url: &HttpUrl, error: hyper::Error) -> Error {
    let text = format!("the connection to {url} broke before its answer was whole");
    Error::new(ErrorKind::Transport, text).with_source(error)
}
