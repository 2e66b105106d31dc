//! Files that hold a secret: read only when nobody else can, made where there is none.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::failure::{Failure, Kind};

/// The largest file of secrets that is read, in bytes.
const MAX: u64 = 64 << 10;

/// The text of a file that only its owner can read. `kind` is the failure when others can.
pub(super) fn read(path: &Path, kind: Kind) -> Result<SecretString, Failure> {
    text(File::open(path).map_err(|e| Failure::reading(path, &e))?, path, kind)
}

/// The same; where there is no file, one with what `make` gives is made for its owner only.
pub(super) fn read_or_make(
    path: &Path,
    kind: Kind,
    make: impl FnOnce() -> Result<SecretString, Failure>,
) -> Result<SecretString, Failure> {
    match File::open(path) {
        Ok(file) => text(file, path, kind),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, kind, make()?),
        Err(error) => Err(Failure::reading(path, &error)),
    }
}

fn text(file: File, path: &Path, kind: Kind) -> Result<SecretString, Failure> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = file.metadata().map_err(|e| Failure::reading(path, &e))?;
        if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
            let message = format!("others may read the private keys in `{}`", path.display());
            return Err(Failure::new(kind, message).help("chmod 600 it, or remove it if it has been read"));
        }
    }
    let mut text = String::new();
    file.take(MAX).read_to_string(&mut text).map_err(|e| Failure::reading(path, &e))?;
    Ok(SecretString::from(text))
}

fn create(path: &Path, kind: Kind, secret: SecretString) -> Result<SecretString, Failure> {
    let failed = |e: &io::Error| Failure::writing(path, e);
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Only its owner can read a temporary file, from its first byte on.
    let mut file = tempfile::Builder::new().prefix(".doorward-").tempfile_in(directory).map_err(|e| failed(&e))?;
    file.write_all(secret.expose_secret().as_bytes()).map_err(|e| failed(&e))?;
    file.as_file().sync_all().map_err(|e| failed(&e))?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(secret),
        // Another process was faster: its secret is the one.
        Err(lost) if lost.error.kind() == io::ErrorKind::AlreadyExists => read(path, kind),
        Err(lost) => Err(failed(&lost.error)),
    }
}
