//! A request that an answer shows, whole and owned.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::place::Place;
use super::space::USUAL;
use super::wording::duration;
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
    /// Whether the audience is not just any that would do.
    pub audience_matters: bool,
    /// Whether the age and lifetime are not just any that would do.
    pub times_matter: bool,
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

    /// The subject and token as the `as` of an inline test.
    pub fn subject_line(&self) -> String {
        let mut parts = vec![format!("issuer = {}", quoted(&self.issuer)), format!("sub = {}", quoted(&self.subject))];
        if let Some(agent) = &self.agent {
            parts.push(format!("agent = {}", quoted(agent)));
        }
        if !self.groups.is_empty() {
            parts.push(format!("groups = {}", list(&self.groups)));
        }
        if !self.claims.is_empty() {
            let one = |(name, values): (&String, &Vec<String>)| match values.as_slice() {
                [value] => format!("{} = {}", key(name), quoted(value)),
                values => format!("{} = {}", key(name), list(values)),
            };
            parts.push(format!("claims = {{ {} }}", self.claims.iter().map(one).collect::<Vec<_>>().join(", ")));
        }
        if !self.scopes.is_empty() {
            parts.push(format!("scope = {}", quoted(&self.scopes.join(" "))));
        }
        if self.audience_matters {
            parts.push(format!("aud = {}", quoted(&self.audience)));
        }
        if self.times_matter {
            // Only a text can show an age below zero; a test cannot ask for one.
            let sign = if self.age < 0 { "-" } else { "" };
            parts.push(format!("age = \"{sign}{}\"", duration(self.age.unsigned_abs())));
            parts.push(format!("lifetime = \"{}\"", duration(self.lifetime.unsigned_abs())));
        }
        format!("as = {{ {} }}", parts.join(", "))
    }

    /// The call as an expectation of an inline test.
    pub fn call_line(&self) -> String {
        let call = match self.place.kind {
            ResourceKind::Server => format!("{}:", self.place.server),
            _ => self.place.to_string(),
        };
        let mut parts = vec![format!("call = {}", quoted(&call))];
        if let Some(uri) = &self.uri {
            parts.push(format!("uri = {}", quoted(uri)));
        }
        if !self.arguments.is_empty() {
            parts.push(format!("args = {}", inline(&Value::Object(self.arguments.clone()))));
        }
        format!("{{ {} }}", parts.join(", "))
    }

    /// The instant as the `now` of an inline test, where it is not the usual one.
    pub fn now_line(&self) -> Option<String> {
        (self.now != USUAL).then(|| format!("now = {}", self.now))
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

/// The longest text that is shown whole.
const SHOWN: usize = 200;

/// A basic string of TOML, which a JSON string is; a long one is cut.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN).and_then(|(end, _)| text.get(..end)) {
        Some(start) => format!("{} ({} characters)", Value::from(format!("{start}…")), text.chars().count()),
        None => Value::from(text).to_string(),
    }
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|t| quoted(t)).collect::<Vec<_>>().join(", "))
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if bare { name.to_owned() } else { quoted(name) }
}

/// A value as TOML writes it inline; `null`, which TOML lacks, stays a word.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(values) if values.len() > SHOWN => {
            let first: Vec<String> = values.iter().take(3).map(inline).collect();
            format!("[{}, …] ({} elements)", first.join(", "), values.len())
        }
        Value::Array(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let parts: Vec<String> =
                map.iter().map(|(name, value)| format!("{} = {}", key(name), inline(value))).collect();
            format!("{{ {} }}", parts.join(", "))
        }
        other => other.to_string(),
    }
}
