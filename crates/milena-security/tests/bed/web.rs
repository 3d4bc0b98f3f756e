//! An HTTP server on loopback that answers as a test says.

use std::sync::Arc;

use milena_security::http::HttpUrl;
use milena_security::tls::TlsServerConfig;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server that closes each connection after one answer. It ends when it is dropped.
pub(crate) struct Web {
    port: u16,
    secure: bool,
    /// The requests, whole, in the order in which they came.
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

/// The bytes that answer a request.
type Answer = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

impl Web {
    /// Starts a server. `answer` returns the bytes of the answer to a request.
    pub(crate) async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::with(None, Arc::new(answer)).await
    }

    /// Starts a server that speaks TLS.
    pub(crate) async fn secure(
        tls: &TlsServerConfig,
        answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::with(Some(tls.clone()), Arc::new(answer)).await
    }

    async fn with(tls: Option<TlsServerConfig>, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, secure) = (Arc::clone(&requests), tls.is_some());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, seen, tls) = (Arc::clone(&answer), Arc::clone(&seen), tls.clone());
                tokio::spawn(async move {
                    let Some(tls) = tls else {
                        return serve(stream, &answer, &seen).await;
                    };
                    // A client that refuses the certificate ends here.
                    if let Ok(stream) = TlsAcceptor::from(tls.server_config()).accept(stream).await
                    {
                        serve(stream, &answer, &seen).await;
                    }
                });
            }
        });
        Self {
            port,
            secure,
            requests,
            task,
        }
    }

    /// Returns the address of `path` on this server.
    pub(crate) fn url(&self, path: &str) -> HttpUrl {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://localhost:{}{path}", self.port)
            .parse()
            .unwrap()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns an answer with `status` and `body`.
pub(crate) fn answer(status: u16, body: &str) -> Vec<u8> {
    let len = body.len();
    format!("HTTP/1.1 {status} Status\r\nContent-Length: {len}\r\n\r\n{body}").into_bytes()
}

/// Returns an answer that leads to `location`.
pub(crate) fn redirect(location: &str) -> Vec<u8> {
    format!("HTTP/1.1 307 Status\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: &Answer,
    seen: &Mutex<Vec<String>>,
) {
    let mut bytes = Vec::new();
    while !is_whole(&bytes) {
        let mut some = [0; 4_096];
        match stream.read(&mut some).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&some[..read]),
            _ => return,
        }
    }
    let request = String::from_utf8(bytes).unwrap();
    seen.lock().push(request.clone());
    // The client may have gone, as it does when an answer is too long.
    let _ = stream.write_all(&answer(&request)).await;
    let _ = stream.shutdown().await;
}

/// Returns true once head and body are there.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}
