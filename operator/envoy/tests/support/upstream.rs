//! A server that answers with what it was sent.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub struct Upstream {
    pub address: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Upstream {
    pub async fn start() -> Upstream {
        Upstream::start_with(None).await
    }

    pub async fn start_with(tls: Option<TlsAcceptor>) -> Upstream {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        let counter = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (counter, tls) = (counter.clone(), tls.clone());
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    match tls {
                        None => echo(stream, counter).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                echo(stream, counter).await;
                            }
                        }
                    }
                });
            }
        });
        Upstream { address, requests }
    }

    /// One that does not speak HTTP.
    pub async fn babbling() -> Upstream {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut chunk = vec![0; 16 * 1024];
                let _ = stream.read(&mut chunk).await;
                let _ = stream.write_all(b"good morning\r\n\r\n").await;
            }
        });
        Upstream { address, requests: Arc::default() }
    }

    /// How many requests came this far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Requests without bodies, answered with their heads.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin, counter: Arc<AtomicU64>) {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let Ok(read) = stream.read(&mut chunk).await else { return };
        if read == 0 {
            return;
        }
        bytes.extend_from_slice(&chunk[..read]);
        while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            counter.fetch_add(1, Ordering::SeqCst);
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", bytes.len());
            if stream.write_all(answer.as_bytes()).await.is_err() || stream.write_all(&bytes).await.is_err() {
                return;
            }
            bytes = rest;
        }
    }
}
