//! A field map: where a foreign log says what a policy asks about.
//!
//! It is data in a TOML file, never code. It says which records are calls and which are left out,
//! by rules with names, and where each fact stands. What it says nothing of stays unknown.

mod apply;
mod file;
mod record;
mod shipped;
mod value;

use std::collections::BTreeMap;

use crate::model::Effect;
use crate::policy::glob::NameGlob;

pub(super) use apply::{Asked, Made, event, scope, verdict};
pub use file::load;
pub use record::Pointer;
pub(super) use record::{Record, scalar};
pub use shipped::{SHIPPED, Shipped, shipped};

/// What one field map says.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldMap {
    /// What the log is called; it stands for who decided what the log says was decided.
    pub name: String,
    /// What the log consists of.
    pub reads: Reads,
    /// Where a document that is not one record holds its records: the first that is there counts.
    pub lists: Vec<Pointer>,
    /// What records are. The first rule that applies to one counts.
    pub rules: Vec<Rule>,
    /// Texts that stand for a value that is not there.
    pub marks: Marks,
    /// Fields whose state other fields tell.
    pub states: Vec<State>,
    /// What the log says was decided. The first that gives a verdict counts.
    pub decisions: Vec<Decision>,
    /// Where JSON-RPC messages stand, when the log consists of them.
    pub message: Option<Message>,
}

/// What a log consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// JSON records, each about one call.
    #[default]
    Records,
    /// OTLP JSON: resource spans, of which each span is a record.
    Spans,
    /// JSON-RPC messages, of which each request is a call.
    Messages,
}

/// What some records are.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name, under which records are counted.
    pub name: String,
    /// What must hold of a record; all of it.
    pub when: Vec<Condition>,
    /// Where its facts stand; `None` when the records are left out.
    pub fields: Option<BTreeMap<Key, FieldSource>>,
    /// Where its claims stand.
    pub claims: BTreeMap<String, FieldSource>,
}

/// Something that may hold of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Where.
    pub at: Pointer,
    /// What.
    pub test: Test,
}

/// What is asked of a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// A scalar that one of these matches.
    Matches(Vec<NameGlob>),
    /// Whether there is any value but `null`.
    Present(bool),
}

macro_rules! keys {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// A fact of a record.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Key {
            $($(#[$doc])* $variant,)+
        }

        impl Key {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The key as written in a map.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

keys! {
    /// When the request was judged.
    Time = "time",
    /// The identifier of the record.
    Id = "id",
    /// The protocol revision.
    Era = "era",
    /// The JSON-RPC method.
    Method = "method",
    /// What kind of thing, where the method leaves a choice.
    Kind = "kind",
    /// The server.
    Door = "door",
    /// The tool, prompt or URI.
    Name = "name",
    /// The arguments.
    Arguments = "arguments",
    /// The session.
    Session = "session",
    /// The issuer of the token.
    Issuer = "issuer",
    /// `sub`
    Sub = "sub",
    /// The client that acts.
    Agent = "agent",
    /// Group names.
    Groups = "groups",
    /// The claims, all together; only of a state.
    Claims = "claims",
    /// Token scopes.
    Scopes = "scopes",
    /// `aud`
    Audience = "aud",
    /// `iat`
    Issued = "iat",
    /// `exp`
    Expires = "exp",
    /// `nbf`
    NotBefore = "nbf",
}

/// Where one fact stands and how it is written there.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldSource {
    /// Where.
    pub from: Origin,
    /// How an instant is written.
    pub unit: Unit,
    /// Of a text, what stands behind the first of these, and so on.
    pub after: Vec<String>,
    /// Of what is left, what stands before the first of this.
    pub before: Option<String>,
    /// What a text is split at into a list; white space when it is not given.
    pub split: Option<String>,
    /// What the log's words mean.
    pub words: BTreeMap<String, String>,
    /// The length in bytes from which on a text was cut.
    pub cap: Option<usize>,
    /// Whether a value that is not there is known to be missing.
    pub absent: bool,
}

/// Where a fact comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is the same in every record.
    Fixed(String),
    /// It stands in the first of these places that is there.
    At(Vec<Pointer>),
}

/// How an instant is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// As in RFC 3339.
    Rfc3339,
    /// In seconds since 1970 UTC.
    S,
    /// In milliseconds.
    Ms,
    /// In microseconds.
    Us,
    /// In nanoseconds.
    Ns,
}

/// Texts that stand for a value that is not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// There was none.
    pub absent: Vec<NameGlob>,
    /// It was removed.
    pub redacted: Vec<NameGlob>,
    /// It was too long.
    pub truncated: Vec<NameGlob>,
}

/// A field whose state other fields tell.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Which field.
    pub field: Key,
    /// What it is.
    pub is: Gone,
    /// When; all of it.
    pub when: Vec<Condition>,
}

/// Why a value is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gone {
    /// There was none.
    Absent,
    /// It was removed.
    Redacted,
    /// It was too long.
    Truncated,
    /// It is not known why.
    Unknown,
}

/// What the log says was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Where.
    pub at: Vec<Pointer>,
    /// When else it counts; all of it.
    pub when: Vec<Condition>,
    /// Words that mean yes.
    pub allow: Vec<NameGlob>,
    /// Words that mean no.
    pub deny: Vec<NameGlob>,
    /// What any value there means.
    pub present: Option<Effect>,
    /// What it means that there is none.
    pub missing: Option<Effect>,
    /// Where the log explains itself.
    pub because: Vec<Pointer>,
}

/// Where JSON-RPC messages stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The message; the empty pointer is the record itself.
    pub at: Vec<Pointer>,
    /// The answer, when it stands in the same record.
    pub response: Vec<Pointer>,
    /// Who sent it.
    pub direction: Vec<Pointer>,
    /// The directions from a client to a server.
    pub requests: Vec<NameGlob>,
}

impl FieldMap {
    /// What a record is; `None` when no rule applies to it.
    pub(super) fn rule(&self, record: Record<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| hold(&rule.when, record))
    }

    /// What a record to which no rule applies is called.
    pub(super) fn call_itself(&self, record: Record<'_>) -> String {
        let Some(asked) = self.rules.iter().flat_map(|rule| &rule.when).next() else {
            return "(no rule)".to_owned();
        };
        let value = record.find(&asked.at).and_then(scalar);
        value.map_or_else(|| format!("no {}", asked.at), |value| format!("{} = {value}", asked.at))
    }
}

/// Whether everything that is asked holds.
pub(super) fn hold(when: &[Condition], record: Record<'_>) -> bool {
    when.iter().all(|Condition { at, test }| {
        let value = record.find(at);
        match test {
            Test::Present(wanted) => value.is_some() == *wanted,
            Test::Matches(globs) => value.and_then(scalar).is_some_and(|text| globs.iter().any(|g| g.matches(&text))),
        }
    })
}
