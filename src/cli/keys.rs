//! Keys in files and by HTTPS, and the runtime to fetch them in.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tokio::runtime::{Builder, Runtime};

use super::failure::{Failure, Kind};
use super::keyfile;
use crate::identity::dev::{DevError, DevIssuer, DevKeys};
use crate::identity::fetch::{MAX_DOCUMENT, Web};
use crate::policy::set::PolicySet;

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
    let make = || DevKeys::generate().and_then(|keys| keys.text()).map_err(refused);
    DevKeys::read(&keyfile::read_or_make(path, Kind::DevIssuer, make)?).map_err(refused)
}
