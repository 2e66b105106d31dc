//! Connections to servers without the wait that small writes bring.
//!
//! A server that leaves Nagle's algorithm on writes the head of an answer, and holds its body back
//! until the head is acknowledged, which a kernel delays by 40 ms. So besides `TCP_NODELAY` on our
//! side, acknowledgements are sent at once where the kernel lets us ask for it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

/// Connects as [`HttpConnector`] does.
#[derive(Clone, Debug)]
pub(super) struct Quick(pub(super) HttpConnector);

impl Service<Uri> for Quick {
    type Response = QuickStream;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move { Ok(QuickStream(connecting.await?)) })
    }
}

/// A connection whose acknowledgements are not delayed.
#[derive(Debug)]
pub(super) struct QuickStream(TokioIo<TcpStream>);

impl Connection for QuickStream {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}

impl Read for QuickStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        // What came is acknowledged at once: the rest may wait for it. Without this answers are only slower. The
        // kernel forgets it, so it is said again, but only when there is something to acknowledge.
        #[cfg(target_os = "linux")]
        if read.is_ready() {
            let _ = socket2::SockRef::from(self.0.inner()).set_tcp_quickack(true);
        }
        read
    }
}

impl Write for QuickStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }
}
