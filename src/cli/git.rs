//! A file as it stood in a revision: `git:REV:PATH`.
//!
//! Asks `git` for the bytes of one blob and for nothing else: no filter, no text conversion, no
//! pager, no hook, no fetch. A revision can never be read as an option.

use std::path::Path;
use std::process::{Command, Stdio};

use super::failure::{Failure, Kind};
use super::files;

/// A path in a revision.
#[derive(Debug)]
pub(super) struct Revision {
    object: String,
}

impl Revision {
    /// Reads `git:REV:PATH`; `None` when it is not that notation.
    pub(super) fn parse(path: &Path) -> Option<Result<Self, Failure>> {
        let text = path.to_str()?;
        let object = text.strip_prefix("git:")?;
        let good = match object.split_once(':') {
            Some((revision, path)) => !revision.is_empty() && !path.is_empty() && !object.starts_with('-'),
            None => false,
        };
        Some(if good {
            Ok(Self { object: object.to_owned() })
        } else {
            Err(Failure::new(Kind::Usage, format!("`{text}` is not `git:REV:PATH`"))
                .help("for example `git:main:policies.toml`; a path from this directory starts with `./`"))
        })
    }

    /// The bytes of the file, at most `limit`.
    pub(super) fn read(&self, limit: u64) -> Result<Vec<u8>, Failure> {
        let failed = |cause: String| {
            Failure::new(Kind::Git, format!("cannot read `git:{}`: {cause}", self.object))
                .help("check with `git show`; a path counts from the root of the repository unless it starts with `./`")
        };
        let mut child = Command::new("git")
            .args(["cat-file", "blob", &self.object])
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failed(format!("cannot run `git`: {e}")))?;
        let bytes = child.stdout.take().map(|out| files::bounded(out, Path::new(&self.object), limit)).transpose();
        if bytes.is_err() {
            // Only what is too large to be a policy gets here; git must not wait for a reader.
            let _ = child.kill();
        }
        let done = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
        let bytes = bytes?.unwrap_or_default();
        if done.status.success() {
            return Ok(bytes);
        }
        let said = String::from_utf8_lossy(&done.stderr);
        Err(failed(said.lines().next().unwrap_or("git gave no reason").trim_start_matches("fatal: ").to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_never_an_option() {
        let parse = |text: &str| Revision::parse(Path::new(text)).map(|r| r.map(|r| r.object));
        assert_eq!(parse("git:main:policies.toml").unwrap().unwrap(), "main:policies.toml");
        assert_eq!(parse("git:HEAD~1:a:b").unwrap().unwrap(), "HEAD~1:a:b");
        assert!(parse("policies.toml").is_none());
        for text in ["git:", "git:main", "git::x", "git:main:", "git:--upload-pack=x:y", "git:-p:x"] {
            assert!(parse(text).unwrap().is_err(), "{text}");
        }
    }
}
