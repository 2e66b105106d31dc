//! The log of commits, copied back into the file beside the writer.
//!
//! `SQLite` lets the commit that makes the log of commits long enough copy it back, flush of the file included, while
//! everybody waits for that one commit. So another connection copies, and only where it does not keep up the writer does.
//! What is copied was durable before: nothing waits for it, and nothing is lost with it.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// After how many rows the log of commits is copied back.
const EVERY: usize = 512;
/// After how many pages (of 4 KiB) the writer copies by itself.
pub(super) const LATEST: &str = "8192";

/// Copies for one writer, until that is gone.
#[derive(Debug)]
pub(super) struct Copied {
    rows: usize,
    wanted: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

impl Copied {
    pub(super) fn new(options: SqliteConnectOptions) -> Self {
        // One that waits stands for all that come before it is heard.
        let (wanted, heard) = mpsc::channel(1);
        Self { rows: 0, wanted, task: tokio::spawn(copy(options, heard)) }
    }

    /// So many rows are durable.
    pub(super) fn written(&mut self, rows: usize) {
        self.rows = self.rows.saturating_add(rows);
        if self.rows >= EVERY && self.wanted.try_send(()).is_ok() {
            self.rows = 0;
        }
    }

    /// Waits until nothing is copied any more.
    pub(super) async fn end(self) {
        drop(self.wanted);
        // It ends by itself, or with the runtime.
        let _ = self.task.await;
    }
}

async fn copy(options: SqliteConnectOptions, mut wanted: mpsc::Receiver<()>) {
    let mut connection: Option<SqliteConnection> = None;
    while wanted.recv().await.is_some() {
        let mut open = match connection.take() {
            Some(open) => open,
            None => match options.connect().await {
                Ok(open) => open,
                // The writer copies, and says what is wrong with the file.
                Err(_) => continue,
            },
        };
        // A passive copy waits for nobody, and takes what no reader needs any more.
        if open.execute("pragma wal_checkpoint(passive)").await.is_ok() {
            connection = Some(open);
        }
    }
    if let Some(open) = connection {
        drop(open.close().await);
    }
}
