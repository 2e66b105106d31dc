//! Why a server behind a door gave no answer that could be passed on.

use std::error::Error;
use std::fmt;

/// What went wrong. The codes are stable; they are for operators and for `pep` to answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureCode {
    /// No connection, or the program did not start.
    Unreachable,
    /// It took too long to connect, to begin its answer or to go on with it.
    TimedOut,
    /// It failed often and is left alone for a while.
    Resting,
    /// What it said is no answer: not HTTP or MCP, too large, or cut short.
    Garbled,
    /// It wants to send the caller elsewhere.
    Redirects,
    /// It does not accept the gateway's own credential.
    Unauthorized,
    /// There is no credential to send.
    NoCredential,
    /// All its places are taken.
    Busy,
}

impl FailureCode {
    /// Every code.
    pub const ALL: [Self; 8] = [
        Self::Unreachable,
        Self::TimedOut,
        Self::Resting,
        Self::Garbled,
        Self::Redirects,
        Self::Unauthorized,
        Self::NoCredential,
        Self::Busy,
    ];

    /// The code as written in logs and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "upstream-unreachable",
            Self::TimedOut => "upstream-timeout",
            Self::Resting => "upstream-resting",
            Self::Garbled => "upstream-garbled",
            Self::Redirects => "upstream-redirects",
            Self::Unauthorized => "upstream-unauthorized",
            Self::NoCredential => "credential-unavailable",
            Self::Busy => "upstream-busy",
        }
    }
}

/// Why there is no answer, with a detail for the operator.
///
/// The detail is never for the caller: it may name addresses. It never holds a token or a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub code: FailureCode,
    /// In which way.
    pub detail: String,
}

impl Failure {
    /// A failure with its detail.
    pub fn new(code: FailureCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// A failure with the innermost cause of an error.
    pub(super) fn caused(code: FailureCode, error: &dyn Error) -> Self {
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Self::new(code, cause.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.code(), self.detail)
    }
}

impl Error for Failure {}
