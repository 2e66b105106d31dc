//! A request that an answer shows, whole and owned.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::place::Place;
use crate::model::{
    Action, Arguments, Claim, Context, Decision, Fact, Request, Resource, ResourceKind, Strings, Subject, Timestamp,
    Token,
};
use crate::pdp;
use crate::policy::CompiledPolicy;

/// A request with every fact known.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// What it reaches.
    pub place: Place,
    /// The URI, for a resource.
    pub uri: Option<String>,
    /// When.
    pub now: Timestamp,
    /// The issuer, by its name in the policy.
    pub issuer: String,
    /// `sub`
    pub subject: String,
    /// The agent.
    pub agent: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// Mapped claims.
    pub claims: BTreeMap<String, Vec<String>>,
    /// Scopes of the token.
    pub scopes: Vec<String>,
    /// `aud`
    pub audience: String,
    /// Seconds since `iat`; negative for a token from the future.
    pub age: i64,
    /// `exp - iat` in seconds.
    pub lifetime: i64,
    /// The arguments.
    pub arguments: Map<String, Value>,
}

impl Witness {
    /// How a policy decides it.
    pub fn decide<'p>(&self, policy: &'p CompiledPolicy) -> Decision<'p> {
        let claims: Vec<Claim<'_>> =
            self.claims.iter().map(|(name, values)| Claim { name, values: Strings::from(values) }).collect();
        let issued_at = self.now.plus(self.age.saturating_neg());
        let request = Request {
            subject: Subject {
                issuer: Fact::Known(&self.issuer),
                id: Fact::Known(&self.subject),
                agent: self.agent.as_deref().map_or(Fact::Absent, Fact::Known),
                groups: Fact::Known(Strings::from(&self.groups)),
                claims: Fact::Known(&claims),
            },
            action: self.action(),
            resource: Resource {
                door: &self.place.server,
                kind: self.place.kind,
                name: self.uri.as_deref().unwrap_or(&self.place.name),
            },
            context: Context {
                now: self.now,
                token: Token {
                    audience: Fact::Known(Strings::Owned(std::slice::from_ref(&self.audience))),
                    scopes: Fact::Known(Strings::from(&self.scopes)),
                    issued_at: Fact::Known(issued_at),
                    expires_at: Fact::Known(issued_at.plus(self.lifetime)),
                    not_before: Fact::Absent,
                },
                arguments: Arguments::known(&self.arguments),
            },
        };
        pdp::decide(policy, &request)
    }

    /// The MCP method; of a server the handshake.
    pub const fn action(&self) -> Action {
        match self.place.kind {
            ResourceKind::Server => Action::Initialize,
            ResourceKind::Tool => Action::ToolsCall,
            ResourceKind::Prompt => Action::PromptsGet,
            ResourceKind::Resource => Action::ResourcesRead,
        }
    }
}
