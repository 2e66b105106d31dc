//! The gateway's own credential for a server, read where the policy says that it is kept.
//!
//! A secret is never part of an error, of `Debug` or of a log line, and is kept no longer than a
//! few seconds when its file may change.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::failure::{Failure, FailureCode};

/// How long the content of a file is believed.
const FRESH: Duration = Duration::from_secs(5);
/// The longest secret, in bytes.
const LONGEST: usize = 16 * 1024;

/// A bearer token for a server (RFC 6750), or none.
pub struct Bearer {
    source: Source,
}

enum Source {
    None,
    Fixed(HeaderValue),
    File { path: PathBuf, last: Mutex<Option<(Instant, HeaderValue)>> },
}

/// A reference that gives no credential. It never holds what is behind the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadReference {
    /// What is wrong.
    pub message: String,
}

impl Bearer {
    /// No credential.
    pub const fn none() -> Self {
        Self { source: Source::None }
    }

    /// This secret.
    ///
    /// # Errors
    ///
    /// It is empty, too long or holds what no header may.
    pub fn fixed(secret: &str) -> Result<Self, BadReference> {
        let source = Source::Fixed(header(secret).map_err(|message| BadReference { message: message.to_owned() })?);
        Ok(Self { source })
    }

    /// The content of a file, read again every few seconds, so that whoever rotates it need tell no one.
    pub const fn file(path: PathBuf) -> Self {
        Self { source: Source::File { path, last: Mutex::new(None) } }
    }

    /// The value for `Authorization`.
    pub(super) async fn header(&self) -> Result<Option<HeaderValue>, Failure> {
        let (path, last) = match &self.source {
            Source::None => return Ok(None),
            Source::Fixed(value) => return Ok(Some(value.clone())),
            Source::File { path, last } => (path, last),
        };
        let known = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, value)) = known.filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(Some(value));
        }
        let failed = |what: String| Failure::new(FailureCode::NoCredential, format!("`{}`: {what}", path.display()));
        let text = tokio::fs::read_to_string(path).await.map_err(|error| failed(error.kind().to_string()))?;
        let value = header(text.trim()).map_err(|what| failed(what.to_owned()))?;
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), value.clone()));
        Ok(Some(value))
    }
}

fn header(secret: &str) -> Result<HeaderValue, &'static str> {
    if secret.is_empty() {
        return Err("the secret is empty");
    }
    if secret.len() > LONGEST {
        return Err("the secret is too long");
    }
    let mut value =
        HeaderValue::try_from(format!("Bearer {secret}")).map_err(|_| "the secret cannot be in a header")?;
    value.set_sensitive(true);
    Ok(value)
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.source {
            Source::None => "Bearer(none)",
            Source::Fixed(_) => "Bearer(fixed)",
            Source::File { .. } => "Bearer(file)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_is_read_again_after_a_while() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one\n").unwrap();
        let bearer = Bearer::file(file.path().to_owned());
        assert_eq!(bearer.header().await.unwrap().unwrap(), "Bearer one");
        std::fs::write(file.path(), "two").unwrap();
        assert_eq!(bearer.header().await.unwrap().unwrap(), "Bearer one");
        tokio::time::advance(FRESH).await;
        assert_eq!(bearer.header().await.unwrap().unwrap(), "Bearer two");
        std::fs::write(file.path(), "").unwrap();
        tokio::time::advance(FRESH).await;
        assert_eq!(bearer.header().await.unwrap_err().code, FailureCode::NoCredential);
    }

    #[test]
    fn no_secret_is_ever_shown() {
        let bearer = Bearer::fixed("hunter2").unwrap();
        assert_eq!(format!("{bearer:?}"), "Bearer(fixed)");
        let error = Bearer::fixed("hunter2\nx").unwrap_err();
        assert!(!error.message.contains("hunter2"));
        assert!(Bearer::fixed("").is_err());
    }
}
