//! Which policy a command is about, and reading it.
//!
//! A policy is named by `--policy`, then by `DOORWARD_POLICY`, then found as `policies.toml` in this
//! directory or above it, up to the root of the repository. Nothing above a directory without a
//! repository is ever read. What the texts mean is `policy::load`'s to say.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

#[cfg(feature = "gateway")]
use sha2::{Digest as _, Sha256};

use super::failure::{Failure, Kind};
use super::files;
use super::git;
use super::terminal::When;
use crate::diagnostics::{Diagnostic, Sources};
use crate::policy::checks::Checks;
use crate::policy::{CompiledPolicy, Layers, Loaded, LoadedPolicy, WhatIf, load_with};
use crate::report::{Style, human};

/// The file that is looked for.
const FILE: &str = "policies.toml";

/// The variables that the command line reads itself and no policy ever sees.
const OWN_VARIABLES: [&str; 2] = ["DOORWARD_POLICY", "DOORWARD_PROFILE"];

/// Which policy.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct PolicyArgs {
    /// The policy: a file, `-` for stdin, or `git:REV:PATH` [default: `DOORWARD_POLICY`, then
    /// `policies.toml` here or above, up to the root of the repository]
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<OsString>,
    /// Put `policies.NAME.toml` beside the policy over it [default: `DOORWARD_PROFILE`]
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,
}

impl PolicyArgs {
    /// Finds and reads the sources. What is wrong in them is among the problems.
    pub(super) fn read(&self) -> Result<Loaded, Failure> {
        let path = self.path()?;
        match read_named(&path, self.profile()?.as_deref())? {
            Named::Sources(loaded) => Ok(*loaded),
            Named::Compiled(_) => Err(Failure::new(
                Kind::BadInput,
                format!("`{}` is a compiled policy, which has no tests and no invariants", files::display_name(&path)),
            )
            .help("name the policies.toml that it was compiled from")),
        }
    }

    /// Finds and reads a policy, from sources or compiled, that must be good.
    pub(super) fn open(&self, color: When) -> Result<Opened, Failure> {
        self.texts()?.open(&[], color)
    }

    /// Finds a policy and reads its texts, once for all that is made of them.
    pub(super) fn texts(&self) -> Result<Texts, Failure> {
        let path = self.path()?;
        let read = gather(&path, read_layer(&path)?, self.profile()?.as_deref())?;
        let on_disk = !files::is_stdin(&path) && git::Revision::parse(&path).is_none();
        let directory = path.parent().filter(|_| on_disk).map(Path::to_owned);
        Ok(Texts { read, directory })
    }

    /// What the policy is called in reports.
    pub(super) fn name(&self) -> Result<String, Failure> {
        self.path().map(|path| files::display_name(&path))
    }

    /// Whether no flag names one.
    pub(super) fn is_found(&self) -> bool {
        self.policy.is_none() && self.profile.is_none()
    }

    /// The directory of the policy, if it is a file.
    pub(super) fn directory(&self) -> Result<Option<PathBuf>, Failure> {
        let path = self.path()?;
        let on_disk = !files::is_stdin(&path) && git::Revision::parse(&path).is_none();
        Ok(path.parent().filter(|_| on_disk).map(Path::to_owned))
    }

    /// Where it is: a file, `-` or `git:REV:PATH`.
    pub(super) fn path(&self) -> Result<PathBuf, Failure> {
        match self.policy.clone().or_else(|| variable("DOORWARD_POLICY")) {
            Some(path) => Ok(PathBuf::from(path)),
            None => discover(),
        }
    }

    /// The profile for every policy of the command.
    pub(super) fn profile(&self) -> Result<Option<String>, Failure> {
        profile(self.profile.as_deref())
    }
}

/// The profile that was named, or else that of the environment.
pub(super) fn profile(named: Option<&str>) -> Result<Option<String>, Failure> {
    match named {
        Some(profile) => Ok(Some(profile.to_owned())),
        None => utf8_variable("DOORWARD_PROFILE"),
    }
}

/// The texts of a policy, of which several policies may be made.
#[derive(Debug)]
pub(super) struct Texts {
    read: Gathered,
    directory: Option<PathBuf>,
}

impl Texts {
    /// The policy with what-ifs laid over it. It must be good.
    pub(super) fn open(&self, what_ifs: &[WhatIf], color: When) -> Result<Opened, Failure> {
        let opened = self.read.with(what_ifs)?.good(color)?;
        Ok(Opened { directory: self.directory.clone(), ..opened })
    }

    /// A digest of the texts, which changes with any of them.
    #[cfg(feature = "gateway")]
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        match &self.read {
            Gathered::Layers(layers) => layers.files.iter().for_each(|(_, bytes)| add(bytes)),
            Gathered::Compiled(policy) => add(policy.digest().to_string().as_bytes()),
        }
        hash.finalize().into()
    }

    /// The policy with whatever is wrong in it.
    #[cfg(feature = "gateway")]
    pub(super) fn read(&self) -> Result<Named, Failure> {
        self.read.with(&[])
    }

    /// The directory of the policy, if it is a file.
    #[cfg(feature = "gateway")]
    pub(super) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }
}

/// A policy that can be used.
#[derive(Debug)]
pub(super) struct Opened {
    /// The policy.
    pub(super) compiled: CompiledPolicy,
    /// What judges it; nothing for a compiled file.
    pub(super) checks: Checks,
    /// The groups that each issuer lists; nothing for a compiled file.
    pub(super) groups: BTreeMap<String, Vec<String>>,
    /// The directory of the file it was read from.
    pub(super) directory: Option<PathBuf>,
    /// Whether it is a compiled file.
    #[cfg_attr(not(feature = "gateway"), expect(dead_code, reason = "only a gateway asks"))]
    pub(super) is_compiled: bool,
}

/// Reads a policy that must be good by its path, `-` or `git:REV:PATH`: sources or a compiled file.
///
/// The profile is laid over sources as over every other policy of the command, so that two of them
/// are compared as they would run. A compiled file has its profile in it already.
pub(super) fn read_compiled(path: &Path, profile: Option<&str>, color: When) -> Result<CompiledPolicy, Failure> {
    let first = read_layer(path)?;
    let profile = if is_compiled(&first.1) { None } else { profile };
    Ok(read_layers(path, first, profile)?.good(color)?.compiled)
}

/// What a path holds.
pub(super) enum Named {
    /// Sources, with whatever is wrong in them.
    Sources(Box<Loaded>),
    /// A compiled file.
    Compiled(CompiledPolicy),
}

/// Reads a policy with the overlay of a profile and the environment. A compiled file is final:
/// nothing is laid over it.
fn read_named(path: &Path, profile: Option<&str>) -> Result<Named, Failure> {
    read_layers(path, read_layer(path)?, profile)
}

/// No TOML document begins like that.
fn is_compiled(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

fn read_layers(path: &Path, first: (String, Vec<u8>), profile: Option<&str>) -> Result<Named, Failure> {
    gather(path, first, profile)?.with(&[])
}

/// What was read of a policy.
#[derive(Debug)]
enum Gathered {
    Layers(Layers),
    Compiled(CompiledPolicy),
}

fn gather(path: &Path, first: (String, Vec<u8>), profile: Option<&str>) -> Result<Gathered, Failure> {
    if is_compiled(&first.1) {
        let compiled = CompiledPolicy::from_file(&first.1).map_err(|e| {
            Failure::new(Kind::of(&e), format!("`{}` cannot be used: {e}", first.0))
                .help("write it again with `doorward compile`")
        })?;
        return match profile {
            None => Ok(Gathered::Compiled(compiled)),
            Some(_) => Err(Failure::new(Kind::Usage, "a compiled policy has no profiles")
                .help("leave the profile out, or name the policies.toml")),
        };
    }
    let mut files = vec![first];
    if let Some(profile) = profile {
        files.push(read_layer(&overlay(path, profile)?)?);
    }
    Ok(Gathered::Layers(Layers { files, environment: environment()? }))
}

impl Gathered {
    fn with(&self, what_ifs: &[WhatIf]) -> Result<Named, Failure> {
        match self {
            Self::Layers(layers) => Ok(Named::Sources(Box::new(load_with(layers, what_ifs)))),
            Self::Compiled(compiled) if what_ifs.is_empty() => Ok(Named::Compiled(compiled.clone())),
            Self::Compiled(_) => Err(Failure::new(Kind::Usage, "nothing can be laid over a compiled policy")
                .help("name the policies.toml that it was compiled from")),
        }
    }
}

impl Named {
    /// The policy, or its problems as the reason why there is no answer.
    fn good(self, color: When) -> Result<Opened, Failure> {
        match self {
            Self::Compiled(compiled) => {
                let (checks, groups) = (Checks::default(), BTreeMap::new());
                Ok(Opened { compiled, checks, groups, directory: None, is_compiled: true })
            }
            Self::Sources(loaded) => match loaded.policy {
                Some(LoadedPolicy { compiled, checks, groups, .. }) => {
                    Ok(Opened { compiled, checks, groups, directory: None, is_compiled: false })
                }
                None => Err(bad(&loaded.problems, &loaded.sources, color)),
            },
        }
    }
}

/// A policy that cannot be used, with its problems.
pub(super) fn bad(problems: &[Diagnostic], sources: &Sources, color: When) -> Failure {
    Failure::new(Kind::BadPolicy, "the policy cannot be used")
        .help("`doorward explain CODE` says more about each problem")
        .after(human::check(problems, sources, Style::new(color.on_stderr())))
}

fn read_layer(path: &Path) -> Result<(String, Vec<u8>), Failure> {
    let bytes = match git::Revision::parse(path) {
        Some(revision) => revision?.read(files::POLICY_LIMIT)?,
        None => files::read(path, files::POLICY_LIMIT)?,
    };
    Ok((files::display_name(path), bytes))
}

/// `policies.NAME.toml` beside `policies.toml`.
fn overlay(path: &Path, profile: &str) -> Result<PathBuf, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if profile.is_empty() || !profile.chars().all(plain) {
        return Err(Failure::new(Kind::Usage, format!("`{profile}` is not a profile name"))
            .help("use letters, digits, `-` and `_`"));
    }
    if files::is_stdin(path) {
        return Err(Failure::new(Kind::Usage, "a policy from stdin has no profiles")
            .help("name the policy with --policy FILE, or leave the profile out"));
    }
    let text = path.to_str().ok_or_else(|| {
        Failure::new(Kind::BadInput, format!("the path `{}` is not UTF-8", path.display())).help("rename it")
    })?;
    Ok(match text.strip_suffix(".toml") {
        Some(stem) => format!("{stem}.{profile}.toml").into(),
        None => format!("{text}.{profile}").into(),
    })
}

/// The nearest `policies.toml` from here upward to the root of the repository.
fn discover() -> Result<PathBuf, Failure> {
    let here = std::env::current_dir().map_err(|e| Failure::reading(Path::new("."), &e))?;
    let depth = here.ancestors().position(|d| d.join(".git").exists()).unwrap_or(0);
    let found = here
        .ancestors()
        .zip(0..=depth)
        .find(|(directory, _)| directory.join(FILE).is_file())
        .map(|(_, up)| std::iter::repeat_n("..", up).collect::<PathBuf>().join(FILE));
    found.ok_or_else(|| {
        Failure::new(Kind::NoPolicy, format!("there is no `{FILE}` here or above, up to the root of the repository"))
            .help("write one with `doorward init`, or name one with --policy FILE or DOORWARD_POLICY")
    })
}

/// The variables that a policy may be moved by.
fn environment() -> Result<Vec<(String, String)>, Failure> {
    let ours = |(name, _): &(OsString, OsString)| {
        name.as_encoded_bytes().starts_with(b"DOORWARD_") && !OWN_VARIABLES.iter().any(|own| name == own)
    };
    let mut variables: Vec<_> = std::env::vars_os()
        .filter(ours)
        .map(|(name, value)| Ok((utf8(name.clone(), &name)?, utf8(value, &name)?)))
        .collect::<Result<_, Failure>>()?;
    variables.sort();
    Ok(variables)
}

/// A variable that is set and not empty.
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn utf8_variable(name: &str) -> Result<Option<String>, Failure> {
    variable(name).map(|value| utf8(value, &name.into())).transpose()
}

fn utf8(text: OsString, name: &OsString) -> Result<String, Failure> {
    text.into_string().map_err(|_| {
        Failure::new(Kind::BadInput, format!("the variable `{}` is not UTF-8", name.display())).help("unset it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overlay_stands_beside_the_policy_and_cannot_lead_elsewhere() {
        let beside = |path: &str, profile: &str| overlay(Path::new(path), profile).map(|p| p.display().to_string());
        assert_eq!(beside("a/policies.toml", "prod").unwrap(), "a/policies.prod.toml");
        assert_eq!(beside("git:main:policies.toml", "prod").unwrap(), "git:main:policies.prod.toml");
        assert_eq!(beside("guard", "prod").unwrap(), "guard.prod");
        assert!(beside("-", "prod").is_err());
        for profile in ["", "../x", "a/b", "a.b", "é"] {
            assert!(beside("policies.toml", profile).is_err(), "{profile}");
        }
    }
}
