//! A client that keeps its connection: what a revocation has to reach.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

const TIMEOUT: Duration = Duration::from_secs(10);

/// One HTTP/1.1 connection. It is never opened again behind the caller's back: if the server closes it, the next request
/// is an error.
pub struct Connection {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
    peer: SocketAddr,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    patience: Duration,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case and values, as they came.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nobody listens there.
    Connect(std::io::Error),
    /// The connection was closed or spoke no HTTP.
    Broken(hyper::Error),
    /// It took longer than ten seconds.
    TooSlow,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::Connect(error) => write!(f, "cannot connect: {error}"),
            NoAnswer::Broken(error) => write!(f, "the connection broke: {error}"),
            NoAnswer::TooSlow => write!(f, "no answer within {TIMEOUT:?}"),
        }
    }
}

impl std::error::Error for NoAnswer {}

impl Ask {
    /// `GET path`.
    pub fn get(path: &str) -> Ask {
        Ask::method("GET", path)
    }

    /// Any method.
    pub fn method(method: &str, path: &str) -> Ask {
        Ask {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: String::new(),
            patience: TIMEOUT,
        }
    }

    /// The same with a header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Ask {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with what a form says.
    #[must_use]
    pub fn form(mut self, pairs: &[(impl Serialize, impl Serialize)]) -> Ask {
        self.body = serde_urlencoded::to_string(pairs).expect("pairs are a form");
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    /// The same, for an answer that may take longer than others.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Ask {
        self.patience = patience;
        self
    }

    /// The same with an API key, in the header that is the default.
    #[must_use]
    pub fn key(self, key: &str) -> Ask {
        self.header("x-api-key", key)
    }

    /// The same with a body.
    #[must_use]
    pub fn body(mut self, kind: &str, text: &str) -> Ask {
        text.clone_into(&mut self.body);
        self.header("content-type", kind)
    }

    /// The same for a host.
    #[must_use]
    pub fn host(self, host: &str) -> Ask {
        self.header("host", host)
    }
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| {
            panic!("status {} with a body that is no JSON ({error}): {}", self.status, self.body)
        })
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A header of the request as the upstream saw it. For answers of the echo server.
    pub fn upstream_header(&self, name: &str) -> Option<String> {
        self.json()["headers"][name].as_str().map(ToOwned::to_owned)
    }
}

impl Connection {
    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub fn open(peer: SocketAddr) -> Result<Connection, NoAnswer> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime for a connection");
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(peer).await.map_err(NoAnswer::Connect)?;
            stream.set_nodelay(true).map_err(NoAnswer::Connect)?;
            let (sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(NoAnswer::Broken)?;
            tokio::spawn(connection);
            Ok(sender)
        })?;
        Ok(Connection { runtime, sender, peer })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// When the connection is closed or breaks, or after ten seconds, unless the request has more time.
    ///
    /// # Panics
    ///
    /// When `ask` is not a request that can be written down.
    pub fn send(&mut self, ask: &Ask) -> Result<Answer, NoAnswer> {
        let mut request = hyper::Request::builder().method(ask.method.as_str()).uri(ask.path.as_str());
        if !ask.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", self.peer.to_string());
        }
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::from(ask.body.clone()))
            .unwrap_or_else(|error| panic!("not a request: {ask:?}: {error}"));
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            let exchange = async {
                sender.ready().await?;
                let response = sender.send_request(request).await?;
                let (head, body) = response.into_parts();
                let body = body.collect().await?.to_bytes();
                Ok((head, body))
            };
            let (head, body) = tokio::time::timeout(ask.patience, exchange)
                .await
                .map_err(|_| NoAnswer::TooSlow)?
                .map_err(NoAnswer::Broken)?;
            let headers = head
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect();
            Ok(Answer { status: head.status.as_u16(), headers, body: String::from_utf8_lossy(&body).into_owned() })
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Sends one request on a connection of its own.
///
/// # Errors
///
/// As for [`Connection::open`] and [`Connection::send`].
pub fn once(peer: SocketAddr, ask: &Ask) -> Result<Answer, NoAnswer> {
    Connection::open(peer)?.send(ask)
}
