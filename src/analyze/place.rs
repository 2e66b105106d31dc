//! Items and statements as answers name them.

use std::fmt;

use serde::Serialize;

use crate::model::{Position, ResourceKind, Rule, RuleKind};
use crate::policy::set::{PolicySet, item_name};

/// A declared item, or a server itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The server.
    pub server: String,
    /// The kind of item.
    pub kind: ResourceKind,
    /// The name in the policy: of a resource the name of its pattern, of a server nothing.
    pub name: String,
}

impl Place {
    pub(super) fn new(server: &str, kind: ResourceKind, name: &str) -> Self {
        Self { server: server.to_owned(), kind, name: name.to_owned() }
    }

    /// The right side of its reference.
    pub fn item(&self) -> String {
        item_name(self.kind, &self.name).into_owned()
    }

    /// Everything that a policy declares, servers included, in a fixed order.
    pub fn all(set: &PolicySet) -> Vec<Self> {
        let servers = set.servers.keys().map(|s| Self::new(s, ResourceKind::Server, ""));
        let mut all: Vec<Self> = servers.chain(set.items().map(|(s, k, n, _)| Self::new(s, k, n))).collect();
        all.sort();
        all
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ResourceKind::Server => f.write_str(&self.server),
            _ => write!(f, "{}:{}", self.server, self.item()),
        }
    }
}

/// A statement as answers name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RuleRef {
    /// What kind of statement.
    pub kind: RuleKind,
    /// Its number among the statements of its kind in the policy set; 0 for others.
    #[serde(skip)]
    pub number: usize,
    /// Its name; empty when it has none.
    pub name: String,
    /// Where it stands.
    pub position: Position,
}

impl RuleRef {
    pub(super) fn of(rule: &Rule<'_>) -> Self {
        Self { kind: rule.kind, number: 0, name: rule.name.to_owned(), position: rule.position.clone() }
    }
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            write!(f, "{} at {}", self.kind, self.position)
        } else {
            write!(f, "{} `{}` at {}", self.kind, self.name, self.position)
        }
    }
}
