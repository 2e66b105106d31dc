//! The audit log in a database: `SQLite` beside one gateway, `PostgreSQL` for several.
//!
//! Both hold a table `audit_log` whose rows are only ever inserted. [`Logger`] writes: many rows a
//! transaction, one flush for all, and a row is acknowledged once it is durable. [`Connection`] reads.
//! A batch of which it is not known whether it was committed is written again as it was, with the
//! same places, until it is there: what is there already must be the very same.

mod error;
mod follow;
mod group;
mod postgres;
mod prune;
mod rates;
mod select;
mod sqlite;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::audit::chain::{LOG_CLASS, Mark, PublicKey, Row, SealKind, Verifier, vouched};
use select::{CLOSED_HEADS, OPEN_HEADS};

pub use error::{StoreError, StoreErrorKind};
pub use follow::Follow;
pub use group::{Clock, Health, Logger, LoggerOptions, Placed, Refused};
pub use prune::{Held, Prune, Pruned, Stub, month};
pub use rates::RateCounter;
pub use select::{Order, Select};

/// How many of the latest `open`s are asked what they name.
const OPENS: i64 = 4_096;

/// Where an audit log is.
#[derive(Clone)]
pub struct Store(Place);

#[derive(Clone)]
enum Place {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<PgConnectOptions>),
}

impl fmt::Debug for Store {
    /// Without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Store {
    /// Without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Sqlite(options) => write!(f, "sqlite:{}", options.get_filename().display()),
            Place::Postgres(options) => {
                let database = options.get_database().unwrap_or(options.get_username());
                write!(f, "postgres://{}:{}/{database}", options.get_host(), options.get_port())
            }
        }
    }
}

impl FromStr for Store {
    type Err = StoreError;

    /// Reads `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`. A server that is not on this
    /// host is spoken to by TLS with its certificate verified, unless `sslmode` says otherwise.
    fn from_str(url: &str) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            // `sqlite://` is what other programs write.
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(Self(Place::Sqlite(Box::new(sqlite::options(Path::new(path))))));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self(Place::Postgres(Box::new(postgres::options(url)?))));
        }
        Err(StoreError::not_a_store("a store is `sqlite:PATH` or `postgres://…`"))
    }
}

impl Store {
    /// Reads it as `from_str`, a relative path as one in a directory.
    ///
    /// # Errors
    ///
    /// It names no store.
    pub fn in_directory(url: &str, directory: &Path) -> Result<Self, StoreError> {
        let store: Self = url.parse()?;
        Ok(match store.file() {
            Some(path) => Self(Place::Sqlite(Box::new(sqlite::options(&directory.join(path))))),
            None => store,
        })
    }

    /// The file that the log is in, where it is in one of this machine.
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Place::Sqlite(options) => Some(options.get_filename()),
            Place::Postgres(_) => None,
        }
    }

    /// All files that the log is in, where it is in files of this machine: `SQLite` keeps what was committed last beside.
    pub fn files(&self) -> Vec<PathBuf> {
        let beside = |file: &Path, end: &str| {
            let mut name = file.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let all = |file| ["", "-wal", "-shm", "-journal"].map(|end| beside(file, end)).to_vec();
        self.file().map(all).unwrap_or_default()
    }

    /// Whether the log is in a file of this machine.
    pub const fn is_sqlite(&self) -> bool {
        matches!(self.0, Place::Sqlite(_))
    }

    /// Connects for writing. Makes the tables, or brings them up to date, where that is needed.
    pub fn writer(&self) -> BoxFuture<'_, Result<Connection, StoreError>> {
        Box::pin(async move {
            Ok(match &self.0 {
                Place::Sqlite(options) => Connection(Inner::Sqlite(Box::new(sqlite::writer(options).await?))),
                Place::Postgres(options) => Connection(Inner::Postgres(Box::new(postgres::writer(options).await?))),
            })
        })
    }

    /// Connects for writing as [`Store::writer`] does, for work that takes long: no statement is given up
    /// for its time.
    pub async fn patient(&self) -> Result<Connection, StoreError> {
        Ok(match &self.0 {
            Place::Sqlite(options) => Connection(Inner::Sqlite(Box::new(sqlite::writer(options).await?))),
            Place::Postgres(options) => Connection(Inner::Postgres(Box::new(postgres::patient(options).await?))),
        })
    }

    /// Makes the log, or brings it up to date; in `PostgreSQL` gives a role the rights of a gateway, and
    /// makes the role where there is none.
    pub async fn init(&self, role: &str) -> Result<(), StoreError> {
        let mut connection = self.patient().await?;
        if let Inner::Postgres(postgres) = &mut connection.0 {
            postgres.grant(role).await?;
        }
        connection.close().await;
        Ok(())
    }

    /// Connects for reading. The store must be there.
    pub async fn reader(&self) -> Result<Connection, StoreError> {
        Ok(match &self.0 {
            Place::Sqlite(options) => Connection(Inner::Sqlite(Box::new(sqlite::reader(options).await?))),
            Place::Postgres(options) => Connection(Inner::Postgres(Box::new(postgres::reader(options).await?))),
        })
    }
}

/// A connection to an audit log.
#[derive(Debug)]
pub struct Connection(Inner);

#[derive(Debug)]
enum Inner {
    Sqlite(Box<sqlite::Sqlite>),
    Postgres(Box<postgres::Postgres>),
}

/// The kind of a row that is read: one of the usual, or its own text.
fn kind(text: &str) -> Cow<'static, str> {
    const USUAL: [&str; 5] = ["intent", "outcome", "denial", "refusals", "checkpoint"];
    USUAL.into_iter().find(|usual| *usual == text).map_or_else(|| text.to_owned().into(), Cow::Borrowed)
}

/// What [`Connection::read`] hands each row to.
pub type Take<'a> = dyn FnMut(Row) -> ControlFlow<()> + Send + 'a;

impl Connection {
    /// Inserts rows, all or none. None of their places may be taken.
    pub fn insert<'a>(&'a mut self, rows: &'a [Row]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.put(rows, false)
    }

    /// Inserts rows of which it is not known whether they are there. Where one is, it must be the very same.
    pub fn insert_again<'a>(&'a mut self, rows: &'a [Row]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.put(rows, true)
    }

    fn put<'a>(&'a mut self, rows: &'a [Row], again: bool) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            match &mut self.0 {
                Inner::Sqlite(sqlite) => sqlite.insert(rows, again).await,
                Inner::Postgres(connection) => connection.insert(rows, again).await,
            }
        })
    }

    /// From here on what is read is of one and the same state, whatever is written meanwhile.
    pub async fn snapshot(&mut self) -> Result<(), StoreError> {
        match &mut self.0 {
            Inner::Sqlite(sqlite) => {
                use sqlx::Executor as _;
                sqlite.connection.execute("begin").await.map(drop).map_err(|e| StoreError::reading(&e))
            }
            Inner::Postgres(connection) => connection.snapshot().await,
        }
    }

    /// Hands over the rows that are asked for, one after the other.
    pub async fn read(&mut self, select: &Select, take: &mut Take<'_>) -> Result<(), StoreError> {
        match &mut self.0 {
            Inner::Sqlite(sqlite) => sqlite::read(&mut sqlite.connection, select, take).await,
            Inner::Postgres(connection) => connection.read(select, take).await,
        }
    }

    /// Holds every row against its chain, in the state of [`Connection::snapshot`], after the verifier has taken
    /// the seals. What comes of it says [`Verifier::finish`]. It keeps the thread that it is called on busy.
    pub async fn verify(&mut self, verifier: Verifier) -> Result<Verifier, StoreError> {
        match &mut self.0 {
            Inner::Sqlite(sqlite) => sqlite::verify(&mut sqlite.connection, verifier).await,
            Inner::Postgres(connection) => connection.verify(verifier).await,
        }
    }

    /// What who opens vouches for: the heads of the chains of writers that have not closed, and the last
    /// rows of those that have. Left out are those that an earlier `open` names which is signed with this
    /// key, or else each later one would name all who ever died.
    pub async fn heads(&mut self, key: Option<&PublicKey>) -> Result<Vec<Mark>, StoreError> {
        let mut heads = BTreeSet::new();
        for question in [OPEN_HEADS, CLOSED_HEADS] {
            heads.extend(match &mut self.0 {
                Inner::Sqlite(sqlite) => sqlite::heads(&mut sqlite.connection, question).await?,
                Inner::Postgres(connection) => connection.heads(question).await?,
            });
        }
        let opens = Select {
            kind: Some(SealKind::Open.name().to_owned()),
            order: Order::Latest,
            limit: Some(OPENS),
            ..Select::class(LOG_CLASS)
        };
        let mut take = |mut row: Row| {
            for mark in vouched(&mut row, key) {
                heads.remove(&mark);
            }
            if heads.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.read(&opens, &mut take).await?;
        Ok(heads.into_iter().collect())
    }

    /// Whether a row could be written now. Nothing is.
    pub async fn check(&mut self) -> Result<(), StoreError> {
        match &mut self.0 {
            Inner::Sqlite(sqlite) => sqlite::check(&mut sqlite.connection).await,
            Inner::Postgres(connection) => connection.check().await,
        }
    }

    /// Counts calls in the rates that gateways share, by lane: the length of its windows in seconds, and how many.
    /// Gives how many its window has with these, and how long it lasts.
    async fn count_rates(
        &mut self,
        lanes: &BTreeMap<[u8; 32], (u32, u32)>,
    ) -> Result<Vec<([u8; 32], (u64, Duration))>, StoreError> {
        match &mut self.0 {
            Inner::Sqlite(_) => Err(StoreError::not_a_store("only PostgreSQL counts for several gateways")),
            Inner::Postgres(connection) => connection.count_rates(lanes).await,
        }
    }

    /// The last row of a chain up to this one; `None` when there is none.
    pub async fn last_up_to(&mut self, end: &Mark) -> Result<Option<Mark>, StoreError> {
        match &mut self.0 {
            Inner::Sqlite(sqlite) => sqlite::last_up_to(&mut sqlite.connection, end).await,
            Inner::Postgres(connection) => connection.last_up_to(end).await,
        }
    }

    /// Says goodbye.
    pub async fn close(self) {
        match self.0 {
            Inner::Sqlite(sqlite) => sqlite.close().await,
            Inner::Postgres(connection) => connection.close().await,
        }
    }
}

/// Runs a future that is not `Send` on a thread of its own, as what the migrations of the database
/// library give is not. `None` when it ended by itself, which it only does with the runtime.
async fn apart<T: Send + 'static, F: AsyncFnOnce() -> T + Send + 'static>(make: F) -> Option<T> {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(make())).await.ok()
}
