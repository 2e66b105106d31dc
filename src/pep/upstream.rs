//! How a server below a door says what went wrong with it.

use std::fmt;

use super::body::BoxError;
use super::code::GuardCode;

/// A failure of an upstream. A service below the layer fails with it to choose the answer; any other
/// error is [`UpstreamError::Failed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamError {
    /// It cannot be reached, or broke off.
    Failed,
    /// It did not answer in time.
    Timeout,
    /// It is left alone for a while.
    Unavailable,
    /// Its answer is none.
    Invalid,
    /// There is no credential to call it with.
    NoCredential,
}

impl UpstreamError {
    pub(super) const fn code(self) -> GuardCode {
        match self {
            Self::Failed => GuardCode::UpstreamFailed,
            Self::Timeout => GuardCode::UpstreamTimeout,
            Self::Unavailable => GuardCode::UpstreamUnavailable,
            Self::Invalid => GuardCode::UpstreamInvalid,
            Self::NoCredential => GuardCode::CredentialUnavailable,
        }
    }

    /// What an error of a service means. The error itself is for the operator.
    pub(super) fn of(error: &BoxError) -> GuardCode {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&**error);
        while let Some(error) = source {
            if let Some(known) = error.downcast_ref::<Self>() {
                return known.code();
            }
            source = error.source();
        }
        GuardCode::UpstreamFailed
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code().as_str())
    }
}

impl std::error::Error for UpstreamError {}
