//! GET requests by HTTP without encryption.

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The error of a request, for a message that names the host.
pub(crate) type Unanswered = Box<dyn std::error::Error + Send + Sync>;

/// Asks `host`, with its port, for the JSON document at `/path`. Returns the status and the body,
/// which is cut after [`MOST`] bytes.
///
/// Waits without a deadline.
///
/// # Cancel safety
/// If the future is dropped, the connection is closed.
pub(crate) async fn get(
    host: &str,
    path: &str,
    token: Option<&str>,
) -> Result<(StatusCode, String), Unanswered> {
    let request = Request::get(format!("/{path}"))
        .header(HOST, host)
        .header(ACCEPT, "application/json");
    let request = match token {
        Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}").into_bytes()),
        None => request,
    };
    let request = request.body(Empty::<Bytes>::new())?;
    let stream = TcpStream::connect(host).await?;
    let (mut sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .handshake(TokioIo::new(stream))
        .await?;
    let mut asking = std::pin::pin!(async move {
        let answer = sender.send_request(request).await?;
        read(answer).await
    });
    // The connection moves the bytes while the request waits. It may end before the last of them
    // was read.
    tokio::select! {
        answer = &mut asking => return answer,
        _ = connection => {}
    }
    asking.await
}

/// Reads the body of an answer.
async fn read(answer: Response<Incoming>) -> Result<(StatusCode, String), Unanswered> {
    let status = answer.status();
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() >= MOST {
            bytes.truncate(MOST);
            break;
        }
    }
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

/// The largest answer that is read, in bytes.
const MOST: usize = 4 << 20;
