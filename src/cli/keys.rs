//! Keys in files and by HTTPS, and the runtime to fetch them in.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::{Builder, Runtime};

use super::failure::{Failure, Kind};
use crate::identity::dev::{DevError, DevIssuer, DevKeys};
use crate::identity::fetch::{MAX_DOCUMENT, Web};
use crate::policy::set::PolicySet;

/// The largest file of private keys that is read, in bytes.
const MAX_KEYS: u64 = 64 << 10;

/// Fetches keys; a `jwks_file` counts from the directory of the policy.
pub(in crate::cli) fn web(directory: Option<PathBuf>) -> Web {
    let directory = directory.unwrap_or_default();
    Web::new(move |path| {
        let mut bytes = Vec::new();
        File::open(directory.join(path))?.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > MAX_DOCUMENT { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    })
}

/// A runtime for a command that waits for the network.
pub(in crate::cli) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(|e| {
        Failure::new(Kind::CannotRead, format!("the system gives no event queue: {e}"))
            .help("raise the limit of open files")
    })
}

/// What is wrong with a development issuer.
pub(in crate::cli) fn refused(error: DevError) -> Failure {
    let failure = Failure::new(Kind::DevIssuer, error.to_string());
    match error {
        DevError::Undeclared | DevError::Url => failure.help(
            "declare one as `[issuers.dev]` with `url = \"http://127.0.0.1:8790/dev-issuer\"`, never in production",
        ),
        DevError::Algorithm => failure.help("leave `algorithms` of that issuer out"),
        DevError::Listener => failure.help("free the port, or change it in the `url` of the issuer"),
        DevError::Keys => failure.help("remove the file; keys are made anew where there are none"),
        DevError::Lifetime => failure.help("ask for a shorter --ttl"),
        DevError::Claims => failure.help("look at `claims` of the issuer in the policy"),
        DevError::Unreachable => failure.help("start it with `doorward issuer dev`, or name its key file with --keys"),
        DevError::Crypto | DevError::Refused => failure,
    }
}

/// The name of the development issuer: the one that was named, or the only one.
pub(in crate::cli) fn dev_name<'a>(policy: &'a PolicySet, named: Option<&'a str>) -> Result<&'a str, Failure> {
    match named {
        Some(name) if policy.issuers.contains_key(name) => Ok(name),
        Some(name) => {
            let failure = Failure::new(Kind::UnknownName, format!("no issuer `{name}` is declared"));
            Err(super::request::suggest(failure, name, policy.issuers.keys().map(String::as_str)))
        }
        None => DevIssuer::find(policy).map_err(refused),
    }
}

/// The keys of a file. Where there is none, new ones are made and kept there for its owner only.
pub(in crate::cli) fn dev_keys(path: &Path) -> Result<DevKeys, Failure> {
    match File::open(path) {
        Ok(file) => read(file, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path),
        Err(error) => Err(Failure::reading(path, &error)),
    }
}

fn read(file: File, path: &Path) -> Result<DevKeys, Failure> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = file.metadata().map_err(|e| Failure::reading(path, &e))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            let message = format!("others may read the private keys in `{}`", path.display());
            return Err(Failure::new(Kind::DevIssuer, message).help("chmod 600 it, or remove it if it has been read"));
        }
    }
    let mut text = String::new();
    file.take(MAX_KEYS).read_to_string(&mut text).map_err(|e| Failure::reading(path, &e))?;
    DevKeys::read(&SecretString::from(text)).map_err(refused)
}

fn create(path: &Path) -> Result<DevKeys, Failure> {
    let keys = DevKeys::generate().map_err(refused)?;
    let text = keys.text().map_err(refused)?;
    let failed = |e: &io::Error| Failure::writing(path, e);
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Only its owner can read a temporary file, from its first byte on.
    let mut file = tempfile::Builder::new().prefix(".doorward-").tempfile_in(directory).map_err(|e| failed(&e))?;
    file.write_all(text.expose_secret().as_bytes()).map_err(|e| failed(&e))?;
    file.as_file().sync_all().map_err(|e| failed(&e))?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(keys),
        // Another process was faster: its keys are the ones.
        Err(lost) if lost.error.kind() == io::ErrorKind::AlreadyExists => {
            read(File::open(path).map_err(|e| Failure::reading(path, &e))?, path)
        }
        Err(lost) => Err(failed(&lost.error)),
    }
}
