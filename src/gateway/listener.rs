//! Connections: how many, how fast they must speak, and the TLS around them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use axum_server::tls_rustls::RustlsConfig;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::settings::{Refusal, TlsFiles};

/// Takes a connection when there is a place for it.
#[derive(Clone, Debug)]
pub(super) struct Bounded {
    places: Arc<Semaphore>,
}

impl Bounded {
    pub(super) fn new(connections: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))) }
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
            Ok((Held { stream, _place: place }, service))
        })())
    }
}

/// A connection and its place.
#[derive(Debug)]
pub(super) struct Held {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Drop for Held {
    fn drop(&mut self) {
        metrics::gauge!("doorward_connections").decrement(1);
    }
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

/// TLS 1.2 and 1.3 with these files, and with the certificates of callers where they are asked for.
pub(super) fn tls(files: &TlsFiles) -> Result<RustlsConfig, Refusal> {
    crate::identity::ensure_crypto();
    let bad = |path: &std::path::Path, what: String| {
        let help = "name a PEM file that this user may read";
        Refusal::new("tls-file", format!("`{}`: {what}", path.display()), help)
    };
    let read = |path: &std::path::Path| -> Result<Vec<CertificateDer<'static>>, Refusal> {
        let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match found {
            Ok(certificates) if certificates.is_empty() => Err(bad(path, "there is no certificate in it".to_owned())),
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(bad(path, error.to_string().to_lowercase())),
        }
    };
    let chain = read(&files.certificate)?;
    // The error of a key file says what kind of thing it met, never what it holds.
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|_| bad(&files.key, "there is no private key in it".to_owned()))?;
    let builder = rustls::ServerConfig::builder();
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in read(path)? {
                roots.add(certificate).map_err(|error| bad(path, error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| bad(path, error.to_string()))?)
        }
    };
    let mut config =
        builder.with_single_cert(chain, key).map_err(|error| bad(&files.certificate, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}
