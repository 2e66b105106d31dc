//! A way to a server that can be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What happens to the next bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// They pass.
    None = 0,
    /// The server gets them, and its answer is lost with the connection.
    Answer = 1,
    /// The server gets half of them.
    Half = 2,
    /// Nobody is there.
    Away = 3,
}

/// A proxy on the loopback interface, until it is dropped.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cut: Arc<AtomicU8>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicU8::new(0));
        let shared = cut.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, shared.clone()));
            }
        });
        Self { port, cut, task }
    }

    /// The next bytes are cut like this, once; `Away` lasts until something else is said.
    pub(crate) fn cut(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, server: u16, cut: Arc<AtomicU8>) {
    let once = |wanted: Cut| cut.compare_exchange(wanted as u8, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    let away = || cut.load(Ordering::SeqCst) == Cut::Away as u8;
    if away() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => match read {
                Ok(n) if n > 0 && !away() => {
                    let half = once(Cut::Half);
                    let sent = if half { &up[..n / 2] } else { &up[..n] };
                    if server.write_all(sent).await.is_err() || half {
                        return;
                    }
                }
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(n) if n > 0 && !away() && !once(Cut::Answer) => {
                    if client.write_all(&down[..n]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}
