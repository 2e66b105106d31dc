//! Connections: how many, how fast they must speak, and the TLS around them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use axum_server::accept::Accept;
use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, interval, sleep};

use super::pem;
use super::settings::{Bounds, Refusal, TlsFiles};

/// How often the files for TLS are looked at.
const RENEW: Duration = Duration::from_secs(30);

/// Takes a connection when there is a place for it.
#[derive(Clone, Debug)]
pub(super) struct Bounded {
    places: Arc<Semaphore>,
    stall: Duration,
}

impl Bounded {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let places = Arc::new(Semaphore::new(bounds.connections.min(Semaphore::MAX_PERMITS)));
        Self { places, stall: bounds.stall_time }
    }
}

impl<S> Accept<TcpStream, S> for Bounded {
    type Stream = Held;
    type Service = S;
    type Future = std::future::Ready<io::Result<(Held, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        std::future::ready((|| {
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                metrics::counter!("doorward_connections_refused_total").increment(1);
                return Err(io::Error::other("all connections are taken"));
            };
            stream.set_nodelay(true)?;
            metrics::gauge!("doorward_connections").increment(1);
            Ok((Held { stream, stall: self.stall, giving_up: None, _place: place }, service))
        })())
    }
}

/// A connection and its place. It breaks when what is written is not taken for too long.
#[derive(Debug)]
pub(super) struct Held {
    stream: TcpStream,
    stall: Duration,
    giving_up: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Held {
    fn drop(&mut self) {
        metrics::gauge!("doorward_connections").decrement(1);
    }
}

impl Held {
    /// What a write came to; an error when nothing was taken for too long.
    fn taken<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.giving_up = None;
            return written;
        }
        let stall = self.stall;
        let timer = self.giving_up.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(timer.as_mut().poll(cx));
        metrics::counter!("doorward_connections_stalled_total").increment(1);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller takes nothing of what is sent")))
    }
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.taken(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.taken(cx, written)
    }
}

/// TLS 1.2 and 1.3 with these files, and with the certificates of callers where they are asked for.
pub(super) fn tls(files: &TlsFiles) -> Result<RustlsConfig, Refusal> {
    Ok(RustlsConfig::from_config(Arc::new(config(files)?)))
}

fn config(files: &TlsFiles) -> Result<ServerConfig, Refusal> {
    crate::identity::ensure_crypto();
    let (chain, key) = (pem::certificates(&files.certificate)?, pem::key(&files.key)?);
    let builder = ServerConfig::builder();
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let verifier = WebPkiClientVerifier::builder(Arc::new(pem::authorities(path)?)).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| pem::bad(path, error))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| pem::bad(&files.certificate, error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// When each of the files was written.
type Written = [Option<SystemTime>; 3];

fn written(files: &TlsFiles) -> Written {
    let of = |path: &std::path::Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    [of(&files.certificate), of(&files.key), files.client_ca.as_deref().and_then(of)]
}

/// Takes up files that were written anew, so that a certificate is renewed without a restart. Whoever
/// is connected stays; what cannot be used is left, and the last good one shown on.
pub(super) async fn renew(files: TlsFiles, shown: RustlsConfig) {
    let mut last = written(&files);
    let mut ticks = interval(RENEW);
    loop {
        ticks.tick().await;
        let now = written(&files);
        if now != last {
            last = now;
            take_up(&files, &shown);
        }
    }
}

fn take_up(files: &TlsFiles, shown: &RustlsConfig) {
    match config(files) {
        Ok(config) => {
            shown.reload_from_config(Arc::new(config));
            tracing::info!("the certificate was renewed");
        }
        Err(refusal) => tracing::error!(code = refusal.code, "{}", refusal.message),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    #[test]
    fn a_certificate_that_was_written_anew_is_shown_and_a_bad_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: directory.path().join("cert.pem"),
            key: directory.path().join("key.pem"),
            client_ca: None,
        };
        let write = || {
            let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            std::fs::write(&files.certificate, cert.pem()).unwrap();
            std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
        };
        write();
        let shown = tls(&files).unwrap();
        let first = shown.get_inner();
        std::fs::write(&files.key, "no key").unwrap();
        take_up(&files, &shown);
        assert!(Arc::ptr_eq(&first, &shown.get_inner()));
        write();
        take_up(&files, &shown);
        assert!(!Arc::ptr_eq(&first, &shown.get_inner()));
    }
}
