//! The compiled policy as one file: the same bytes for the same sources, and never trusted blindly.
//!
//! A file says its format, its digest, the policy set and where each statement stood. Loading
//! reads the set with the same types as the compiler, checks what the compiler promises of a set,
//! computes the digest again and compares. The digest covers what decides; the positions only
//! serve explanations.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::compiled::{CompiledPolicy, Digest, Positions};
use super::lookup::Lookup;
use super::name::{is_item, is_plain, quoted};
use super::set::{Item, PolicySet, Statement};
use super::weight::weigh;
use crate::model::{Position, ResourceKind};

/// What the first field of a file must say.
pub const FORMAT: &str = "doorward.policy/v1";

/// Why a file is not a compiled policy.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileError {
    /// Not the JSON of a compiled policy; the text says where.
    Malformed(String),
    /// A format that this build does not read.
    Format(String),
    /// The digest that the file claims is not that of its policy.
    Digest {
        /// What the file claims.
        claimed: String,
        /// What its policy has.
        actual: Digest,
    },
    /// The set breaks a promise that the compiler keeps; the text says which.
    Invalid(String),
}

impl FileError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "compiled-malformed",
            Self::Format(_) => "compiled-format",
            Self::Digest { .. } => "compiled-digest",
            Self::Invalid(_) => "compiled-invalid",
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "not a compiled policy: {why}; compile the sources again"),
            Self::Format(found) => {
                write!(f, "format {found:?} is not `{FORMAT}`; compile the sources again with this build")
            }
            Self::Digest { claimed, actual } => {
                write!(
                    f,
                    "the file claims digest {claimed:?} and its policy has `{actual}`: it was changed after it was compiled; \
                     compile the sources again"
                )
            }
            Self::Invalid(why) => {
                write!(f, "the policy set is not one the compiler makes: {why}; compile the sources again")
            }
        }
    }
}

impl std::error::Error for FileError {}

#[derive(Serialize)]
struct Written<'p> {
    format: &'static str,
    digest: String,
    policy: &'p PolicySet,
    positions: Places,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[expect(dead_code, reason = "judged before the rest is read; named here so that it is a known field")]
    format: String,
    digest: String,
    policy: PolicySet,
    positions: Places,
}

/// Read first, so that another format is named instead of its first strange field.
#[derive(Deserialize)]
struct Head {
    format: String,
}

/// [`Positions`] with lists in place of keys that JSON cannot hold.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Places {
    issuers: Vec<(String, Position)>,
    servers: Vec<(String, Position)>,
    items: Vec<(String, ResourceKind, String, Position)>,
    grants: Vec<Position>,
    denies: Vec<Position>,
}

impl CompiledPolicy {
    /// The file. Ends with a newline.
    pub fn to_file(&self) -> Result<Vec<u8>, FileError> {
        let written = Written {
            format: FORMAT,
            digest: self.digest().to_string(),
            policy: self.set(),
            positions: Places::of(self.positions(), self.set()),
        };
        let mut bytes = serde_json::to_vec(&written).map_err(|e| FileError::Malformed(e.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a file back.
    pub fn from_file(bytes: &[u8]) -> Result<Self, FileError> {
        let malformed = |e: serde_json::Error| FileError::Malformed(e.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(malformed)?;
        if head.format != FORMAT {
            return Err(FileError::Format(head.format));
        }
        let read: Read = serde_json::from_slice(bytes).map_err(malformed)?;
        promises(&read.policy).map_err(FileError::Invalid)?;
        let positions = read.positions.positions(&read.policy);
        let policy = Self::compile(read.policy, positions);
        let actual = policy.digest();
        if Digest::parse(&read.digest) != Some(actual) {
            return Err(FileError::Digest { claimed: read.digest, actual });
        }
        Ok(policy)
    }
}

/// Checks what a set from the compiler always keeps and a forged one might not.
fn promises(set: &PolicySet) -> Result<(), String> {
    let must = |holds: bool, what: String| if holds { Ok(()) } else { Err(what) };
    for (name, issuer) in &set.issuers {
        must(!issuer.algorithms.is_empty(), format!("issuer `{name}` accepts no algorithm"))?;
        must(issuer.max_lifetime > 0, format!("issuer `{name}` has no `max_lifetime`"))?;
    }
    for (name, server) in &set.servers {
        must(is_plain(name), format!("`{}` cannot name a server", quoted(name)))?;
        must(!server.resource.is_empty(), format!("server `{name}` has no resource identifier"))?;
        must(
            set.audit.retention.contains_key(&server.audit),
            format!("server `{name}` has an audit class without retention"),
        )?;
        for item in server.resources.values() {
            must(item.uri.is_some(), format!("a resource of server `{name}` has no URI"))?;
        }
    }
    for (server, _, name, item) in set.items() {
        must(is_item(name), format!("`{}` cannot name what is behind `{server}`", quoted(name)))?;
        must(!item.scopes.is_empty(), format!("`{server}:{name}` has no scope"))?;
        let class = item.audit.as_ref();
        must(
            class.is_none_or(|c| set.audit.retention.contains_key(c)),
            format!("`{server}:{name}` has an audit class without retention"),
        )?;
    }
    let named = |s: &Statement| s.name.clone().unwrap_or_else(|| "without a name".into());
    for grant in &set.grants {
        must(
            grant.to != super::set::Selector::default(),
            format!("grant {} is to nobody in particular", named(grant)),
        )?;
    }
    for statement in set.grants.iter().chain(&set.denies) {
        must(!statement.items.is_empty(), format!("statement {} names nothing", named(statement)))?;
    }
    must(weigh(set).is_ok(), "its statements, items and groups combine in too many ways".to_owned())
}

impl Places {
    fn of(positions: &Positions, set: &PolicySet) -> Self {
        let named = |map: &std::collections::BTreeMap<String, Position>| {
            map.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        Self {
            issuers: named(&positions.issuers),
            servers: named(&positions.servers),
            items: set
                .items()
                .zip(&positions.items)
                .map(|((server, kind, name, _), place)| (server.to_owned(), kind, name.to_owned(), place.clone()))
                .collect(),
            grants: positions.grants.clone(),
            denies: positions.denies.clone(),
        }
    }

    /// The places in the order of the set. What the set does not have is left out.
    fn positions(self, set: &PolicySet) -> Positions {
        let items: Lookup<_, _> =
            self.items.iter().map(|(s, k, n, place)| ((s.as_str(), *k, n.as_str()), place)).collect();
        let place = |(s, k, n, _): (_, _, _, &Item)| items.get(&(s, k, n)).map(|place| (*place).clone());
        Positions {
            items: set.items().map(|item| place(item).unwrap_or_default()).collect(),
            issuers: self.issuers.into_iter().collect(),
            servers: self.servers.into_iter().collect(),
            grants: self.grants,
            denies: self.denies,
        }
    }
}
