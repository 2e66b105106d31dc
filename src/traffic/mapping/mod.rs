//! A mapping: what must be added to a foreign log before a policy can judge it.
//!
//! Foreign logs carry no verified identity and often no time. A mapping assigns both by declared
//! rules and never guesses: a fact that no rule gives stays unknown and is counted as such.

mod file;

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::event::{Event, Field};
use super::secrets;
use crate::model::Timestamp;
use crate::policy::glob::NameGlob;

pub use file::load;

/// What one mapping file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// The top-level field of a transcript that names its session.
    pub session: Option<String>,
    /// The instants that calls are given.
    pub clock: Clock,
    /// Which function calls are MCP calls, and how. The first that matches applies.
    pub calls: Vec<CallRule>,
    /// Servers by their name in the log, with their name in the policy; the empty name stands for
    /// what the log names no server of.
    pub doors: BTreeMap<String, String>,
    /// Issuers by their name in the log, with their name in the policy.
    pub issuers: BTreeMap<String, String>,
    /// Tools by `DOOR:TOOL` in the log (the door as in the policy), with their name in the policy.
    pub tools: BTreeMap<String, String>,
    /// Who made which calls. For each fact the first rule that gives it counts.
    pub identities: Vec<IdentityRule>,
}

/// Instants for a log that has none: sessions one after another, calls one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Whether the mapping says when the first session begins.
    pub given: bool,
    /// When the first session begins.
    pub start: Timestamp,
    /// Seconds from one session to the next.
    pub session: u32,
    /// Seconds from one call to the next.
    pub call: u32,
}

impl Clock {
    /// When a session begins, counted from 0.
    pub fn session(&self, number: u64) -> Timestamp {
        self.start.plus(times(self.session, number))
    }

    /// When a call of a session is made, counted from 0.
    pub fn call(&self, session: u64, number: u64) -> Timestamp {
        self.session(session).plus(times(self.call, number))
    }
}

fn times(seconds: u32, number: u64) -> i64 {
    i64::from(seconds).saturating_mul(i64::try_from(number).unwrap_or(i64::MAX))
}

/// How to read the calls of some functions.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRule {
    /// The functions it is about.
    pub function: NameGlob,
    /// What to make of them.
    pub shape: CallShape,
}

/// Where a function call says its server, tool and arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallShape {
    /// The function name is `PREFIX` `SERVER` `SEPARATOR` `TOOL`.
    Named {
        /// What stands before the server; may be empty.
        prefix: String,
        /// What stands between server and tool.
        separator: String,
    },
    /// The function is a tool of this server.
    Door(String),
    /// The function's own arguments name all three.
    Wrapper {
        /// The key that holds the server.
        server: String,
        /// The key that holds the tool.
        tool: String,
        /// The key that holds the arguments.
        arguments: String,
    },
    /// Not an MCP call.
    Ignore,
}

/// Facts for the calls that a rule is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdentityRule {
    /// What must match: `session`, `door`, `tool`, a top-level field of the transcript or record, or
    /// a JSON Pointer into the record. Every field must match; within one, one glob suffices.
    pub when: BTreeMap<String, Vec<NameGlob>>,
    /// The issuer, by its name in the policy.
    pub issuer: Field<String>,
    /// `sub`, with `{field}` standing for what `when` can ask about.
    pub sub: Field<String>,
    /// The agent, likewise.
    pub agent: Field<String>,
    /// Group names, likewise.
    pub groups: Field<Vec<String>>,
    /// Mapped claims.
    pub claims: Field<BTreeMap<String, Vec<String>>>,
    /// Token scopes, likewise.
    pub scopes: Field<Vec<String>>,
    /// `aud`, likewise.
    pub audience: Field<Vec<String>>,
    /// Age and lifetime of the token.
    pub token: Option<TokenRule>,
}

/// The life of an assumed token: one a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRule {
    /// Seconds since `iat` when the session begins. A log of records that each have a time may be in
    /// any order: of one the seconds count when the call is made.
    pub age: u32,
    /// `exp - iat`, in seconds.
    pub lifetime: u32,
}

/// What the log says around one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    /// The instant from which the age of the token counts.
    pub(super) begin: Timestamp,
    /// The session's name, if it has one.
    pub(super) session: Option<&'a str>,
    /// What else the log says.
    pub(super) fields: &'a dyn Fields,
}

/// The scalar values of a record, by name.
pub(super) trait Fields {
    /// The value as text.
    fn text(&self, name: &str) -> Option<Cow<'_, str>>;
}

impl Fields for BTreeMap<String, String> {
    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(|text| Cow::Borrowed(text.as_str()))
    }
}

impl std::fmt::Debug for dyn Fields + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fields")
    }
}

impl Mapping {
    /// The name in the policy of a server in the log: as the log names it, or its address without user,
    /// query and fragment.
    pub(super) fn door(&self, server: &str) -> String {
        let named = |server: &str| self.doors.get(server).cloned();
        named(server).unwrap_or_else(|| {
            let bare = secrets::bare(server);
            named(&bare).unwrap_or_else(|| bare.into_owned())
        })
    }

    /// The name in the policy of an issuer in the log.
    pub(super) fn issuer(&self, issuer: String) -> String {
        self.issuers.get(&issuer).cloned().unwrap_or(issuer)
    }

    /// The name in the policy of a tool in the log.
    pub(super) fn tool(&self, door: &str, tool: &str) -> String {
        let renamed = if self.tools.is_empty() { None } else { self.tools.get(&format!("{door}:{tool}")) };
        renamed.map_or(tool, String::as_str).to_owned()
    }

    /// Gives an event what the rules say of it; whether any rule is about it.
    pub(super) fn identify(&self, event: &mut Event, around: Surroundings<'_>) -> bool {
        let mut covered = false;
        for rule in &self.identities {
            let about = |field: &str, globs: &[NameGlob]| {
                value(field, event, around).is_some_and(|v| globs.iter().any(|g| g.matches(&v)))
            };
            if !rule.when.iter().all(|(field, globs)| about(field, globs)) {
                continue;
            }
            covered = true;
            let filled = |text: &String| fill(text, event, around);
            let all_filled = |list: &Vec<String>| list.iter().map(filled).collect();
            let (sub, agent) = (and_then(&rule.sub, filled), and_then(&rule.agent, filled));
            let (groups, scopes) = (and_then(&rule.groups, all_filled), and_then(&rule.scopes, all_filled));
            let audience = and_then(&rule.audience, all_filled);
            let (subject, token) = (&mut event.subject, &mut event.token);
            give(&mut subject.issuer, rule.issuer.clone());
            give(&mut subject.sub, sub);
            give(&mut subject.agent, agent);
            give(&mut subject.groups, groups);
            give(&mut subject.claims, rule.claims.clone());
            give(&mut token.scopes, scopes);
            give(&mut token.aud, audience);
            if let Some(TokenRule { age, lifetime }) = rule.token {
                let issued = around.begin.plus(-i64::from(age));
                give(&mut token.iat, Field::Present(issued));
                give(&mut token.exp, Field::Present(issued.plus(i64::from(lifetime))));
                give(&mut token.nbf, Field::Absent);
            }
        }
        covered
    }
}

/// The first rule that gives a fact counts.
fn give<T>(slot: &mut Field<T>, value: Field<T>) {
    if matches!(slot, Field::NotRecorded) {
        *slot = value;
    }
}

/// A given value that cannot be filled in is not given.
fn and_then<T, U>(field: &Field<T>, f: impl FnOnce(&T) -> Option<U>) -> Field<U> {
    match field {
        Field::Present(value) => f(value).map_or(Field::NotRecorded, Field::Present),
        Field::Absent => Field::Absent,
        Field::Redacted | Field::Truncated | Field::NotRecorded => Field::NotRecorded,
    }
}

fn value<'a>(field: &str, event: &'a Event, around: Surroundings<'a>) -> Option<Cow<'a, str>> {
    match field {
        "session" => around.session.map(Cow::Borrowed),
        "door" => Some(Cow::Borrowed(&event.door)),
        "tool" => Some(Cow::Borrowed(&event.name)),
        field => around.fields.text(field),
    }
}

/// Puts values in for `{field}`; `None` when the log has no such field.
fn fill(text: &str, event: &Event, around: Surroundings<'_>) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, after) = after.split_once('}')?;
        out.push_str(before);
        out.push_str(&value(field, event, around)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}
