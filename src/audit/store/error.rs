//! Why a store did not do what it was asked, as far as it matters for what to do next.

use std::fmt;

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The address names no store.
    NotAStore,
    /// There is no log in it, or one that this build does not know.
    NoLog,
    /// The store is not there or does not let us in.
    Unreachable,
    /// There is no TLS with the server, or its certificate is not good for its name.
    Untrusted,
    /// It said no: nothing was written, and later it may say yes.
    Refused,
    /// It will never take these rows: nothing was written.
    Impossible,
    /// Other rows stand in these places: nothing was written.
    Taken,
    /// What signs the seals does not: nothing was written.
    NotSigned,
    /// It is not known whether it was written.
    Doubt,
}

/// A failure of a store.
#[derive(Debug)]
pub struct StoreError {
    /// What follows.
    pub kind: StoreErrorKind,
    message: String,
}

impl StoreError {
    pub(super) fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(super) fn not_a_store(message: &str) -> Self {
        Self::new(StoreErrorKind::NotAStore, message)
    }

    /// The places of rows hold others.
    pub(super) fn taken() -> Self {
        Self::new(StoreErrorKind::Taken, "other rows stand in their places: another process writes under this name")
    }

    /// Of an attempt to connect: nothing was sent yet.
    pub(super) fn connecting(error: &sqlx::Error) -> Self {
        match untrusted(error) {
            Some(why) => Self::new(StoreErrorKind::Untrusted, why),
            None => Self::new(StoreErrorKind::Unreachable, shown(error)),
        }
    }

    /// Of a question.
    pub(super) fn reading(error: &sqlx::Error) -> Self {
        // 42P01: undefined_table. `SQLite` has no code of its own for it.
        let no_log = error
            .as_database_error()
            .is_some_and(|e| e.code().as_deref() == Some("42P01") || e.message().starts_with("no such table"));
        if no_log {
            return Self::new(StoreErrorKind::NoLog, "there is no audit log in this store");
        }
        Self::new(StoreErrorKind::Unreachable, shown(error))
    }

    /// Of a question to a file.
    pub(super) fn file(error: &rusqlite::Error) -> Self {
        Self::new(StoreErrorKind::Unreachable, error.to_string())
    }

    /// Of rows that were sent: by what the database said, they are not there, or nobody knows.
    pub(super) fn writing(error: &sqlx::Error) -> Self {
        let kind = match error.as_database_error() {
            None if matches!(error, sqlx::Error::Encode(_)) => StoreErrorKind::Impossible,
            None => StoreErrorKind::Doubt,
            Some(answer) => match answer.code().as_deref() {
                // unique_violation
                Some("23505") => return Self::taken(),
                // Data, constraint and size: the same rows will fail again.
                Some(code) if code.len() == 5 && ["22", "23", "54"].iter().any(|class| code.starts_with(class)) => {
                    StoreErrorKind::Impossible
                }
                // Connection exceptions.
                Some(code) if code.len() == 5 && code.starts_with("08") => StoreErrorKind::Doubt,
                Some(code) if code.len() == 5 => StoreErrorKind::Refused,
                // SQLite: the low byte is the primary code. TOOBIG, CONSTRAINT, MISMATCH; IOERR.
                code => match code.and_then(|c| c.parse::<u32>().ok()).map(|c| c & 0xff) {
                    Some(18..=20) => StoreErrorKind::Impossible,
                    Some(10) | None => StoreErrorKind::Doubt,
                    Some(_) => StoreErrorKind::Refused,
                },
            },
        };
        Self::new(kind, shown(error))
    }
}

/// What is wrong with the TLS of a server.
fn untrusted(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Tls(why) => Some(format!("TLS: {why}")),
        // A handshake that fails is an error of the socket, with the reason inside.
        sqlx::Error::Io(failed) => {
            let why = failed.get_ref()?.downcast_ref::<rustls::Error>()?;
            Some(format!("TLS: {why}"))
        }
        _ => None,
    }
}

/// What the database said, in one line and without what was sent.
fn shown(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(answer) => match answer.code() {
            Some(code) => format!("{} ({code})", answer.message()),
            None => answer.message().to_owned(),
        },
        None => error.to_string(),
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}
