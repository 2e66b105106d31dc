//! A request as flags: who asks, with what token, for what.
//!
//! Builds the same event that a recording holds, so that what is asked on the command line can be
//! recorded, and the other way round. What is not given is known to be absent, never unknown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::failure::{Failure, Kind};
use super::files;
use super::time::{self, NowArg};
use crate::analyze::Who;
use crate::diagnostics::did_you_mean;
use crate::model::{Action, ResourceKind, Timestamp};
use crate::policy::CompiledPolicy;
use crate::policy::set::{Item, PolicySet, named_item};
use crate::traffic::{Event, Field, Identity, TokenFacts, read_arguments, read_event};

/// The largest request that is read, in bytes.
const REQUEST_LIMIT: u64 = 4 << 20;

/// Who asks.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Who asks")]
pub(super) struct SubjectArgs {
    /// The issuer, by its name in the policy [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(super) issuer: Option<String>,
    /// The subject: the `sub` of the token
    #[arg(long, visible_alias = "as", value_name = "SUB")]
    pub(super) sub: Option<String>,
    /// The agent that acts for the subject
    #[arg(long, value_name = "ID")]
    pub(super) agent: Option<String>,
    /// Groups of the subject, with commas between
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) groups: Vec<String>,
    /// A mapped claim as `NAME=VALUE`; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) claim: Vec<(String, String)>,
}

/// With what token.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "With what token")]
pub(super) struct TokenArgs {
    /// Scopes of the token, with spaces between
    #[arg(long, value_name = "SCOPES", value_delimiter = ' ')]
    pub(super) scope: Vec<String>,
    /// An audience of the token; may be given again [default: what the door asks for]
    #[arg(long, value_name = "URI")]
    pub(super) aud: Vec<String>,
    /// How old the token is, as `90s`, `5m`, `1h30m`
    #[arg(long, value_name = "DURATION", value_parser = time::age, default_value = "0s", allow_hyphen_values = true)]
    pub(super) age: i64,
    /// How long the token lives from its issue [default: what the issuer may give at most]
    #[arg(long, value_name = "DURATION", value_parser = time::seconds)]
    pub(super) lifetime: Option<u32>,
}

/// What is asked for.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "For what")]
pub(super) struct CallArgs {
    /// `SERVER:TOOL`, `SERVER:prompt:NAME`, `SERVER:resource:NAME`, or `SERVER:` for the server itself
    #[arg(value_name = "CALL", required_unless_present = "request", default_value = "")]
    pub(super) call: String,
    /// The arguments, as a JSON object
    #[arg(long, value_name = "JSON")]
    pub(super) args: Option<String>,
    /// One argument as `NAME=VALUE`; a value that is JSON is taken as JSON; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) arg: Vec<(String, String)>,
    /// The URI to read, for a resource
    #[arg(long, value_name = "URI")]
    pub(super) uri: Option<String>,
    /// The MCP method [default: the one that calls a tool, gets a prompt, reads a resource or lists]
    #[arg(long, value_name = "METHOD")]
    pub(super) method: Option<String>,
}

impl CallArgs {
    /// The server, kind and name that the call names.
    pub(super) fn reference(&self) -> Result<(&str, ResourceKind, &str), Failure> {
        let Some((server, item)) = self.call.split_once(':').filter(|(server, _)| !server.is_empty()) else {
            return Err(Failure::new(Kind::Usage, format!("`{}` is not `SERVER:TOOL`", self.call)).help(
                "a prompt is `SERVER:prompt:NAME`, a resource `SERVER:resource:NAME`, the server itself `SERVER:`",
            ));
        };
        let (kind, name) = named_item(item);
        Ok((server, kind, name))
    }

    /// The arguments object; `None` when nothing was said of arguments.
    pub(super) fn arguments(&self) -> Result<Option<Map<String, Value>>, Failure> {
        arguments(self.args.as_deref(), &self.arg)
    }

    fn action(&self, kind: ResourceKind) -> Result<Action, Failure> {
        let Some(method) = &self.method else {
            return Ok(match kind {
                ResourceKind::Server => Action::ToolsList,
                ResourceKind::Tool => Action::ToolsCall,
                ResourceKind::Prompt => Action::PromptsGet,
                ResourceKind::Resource => Action::ResourcesRead,
            });
        };
        let action = Action::from_method(method);
        if action == Action::Unknown {
            let known = Action::ALL.iter().map(|a| a.method());
            let failure = Failure::new(Kind::UnknownName, format!("`{method}` is not an MCP method"));
            return Err(suggest(failure, method, known));
        }
        if action.reaches().contains(&kind) {
            return Ok(action);
        }
        Err(Failure::new(Kind::Usage, format!("`{method}` does not reach `{}`", self.call))
            .help("leave --method out for the usual one"))
    }

    /// The name of a tool or prompt, the URI of a resource.
    fn target(&self, policy: &PolicySet, (server, kind, name): (&str, ResourceKind, &str)) -> Result<String, Failure> {
        if kind != ResourceKind::Resource {
            return match &self.uri {
                Some(_) => Err(Failure::new(Kind::Usage, "--uri is for resources").help("leave it out")),
                None => Ok(name.to_owned()),
            };
        }
        let declared: Option<&Item> = policy.servers.get(server).and_then(|s| s.resources.get(name));
        let pattern = declared.and_then(|item| item.uri.as_ref());
        match (&self.uri, pattern) {
            (Some(uri), Some(pattern)) if !pattern.matches(uri) => {
                Err(Failure::new(Kind::BadInput, format!("`{uri}` is not in `{}`, which is `{pattern}`", self.call))
                    .help("name the resource that holds the URI"))
            }
            (Some(uri), _) => Ok(uri.clone()),
            (None, Some(pattern)) if pattern.literal().is_some() => Ok(pattern.as_str().to_owned()),
            (None, _) => Err(Failure::new(Kind::Usage, format!("`{}` holds many URIs", self.call))
                .help("say which one to read with --uri")),
        }
    }
}

/// The arguments object of `--args` and `--arg`; `None` when neither was given.
pub(super) fn arguments(
    whole: Option<&str>,
    single: &[(String, String)],
) -> Result<Option<Map<String, Value>>, Failure> {
    let bad = |message: String| {
        Failure::new(Kind::BadInput, format!("--args {message}"))
            .help("write a JSON object, as --args '{\"amount\":20}', or --arg amount=20")
    };
    let mut object = match whole {
        Some(text) => Some(read_arguments(text).map_err(|e| bad(format!("cannot be read: {}", e.message)))?),
        None if single.is_empty() => None,
        None => Some(Map::new()),
    };
    for (name, text) in single {
        let value = serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into());
        if object.get_or_insert_default().insert(name.clone(), value).is_some() {
            return Err(bad(format!("and --arg give `{name}` twice")));
        }
    }
    Ok(object)
}

/// One request: from flags, or as an event of a recording.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AskArgs {
    /// Take the request from a file, or `-` for stdin: one event of a recording, judged at its own time
    #[arg(long, value_name = "FILE", conflicts_with_all = ["call", "now"])]
    request: Option<PathBuf>,
    #[command(flatten)]
    now: NowArg,
    #[command(flatten)]
    who: SubjectArgs,
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    call: CallArgs,
}

impl AskArgs {
    /// The request.
    pub(super) fn event(&self, policy: &CompiledPolicy) -> Result<Event, Failure> {
        match &self.request {
            Some(path) => read_request(path),
            None => event(policy, &self.who, &self.token, &self.call, self.now.instant()),
        }
    }

    /// What stands in place of a call and is none.
    pub(super) fn word(&self) -> Option<&str> {
        (self.request.is_none() && !self.call.call.contains(':')).then_some(self.call.call.as_str())
    }
}

/// The request of the flags, as an event at `now`.
fn event(
    policy: &CompiledPolicy,
    who: &SubjectArgs,
    token: &TokenArgs,
    call: &CallArgs,
    now: Timestamp,
) -> Result<Event, Failure> {
    let set = policy.set();
    let reference @ (server, kind, _) = call.reference()?;
    let issuer = who.issuer(set)?;
    let declared = set.issuers.get(issuer);
    let audience = if !token.aud.is_empty() {
        token.aud.clone()
    } else if let Some(wanted) = declared.map(|i| &i.audiences).filter(|wanted| !wanted.is_empty()) {
        wanted.clone()
    } else {
        set.servers.get(server).map(|s| s.resource.clone()).into_iter().collect()
    };
    let issued = now.plus(token.age.saturating_neg());
    let lifetime = token.lifetime.or(declared.map(|i| i.max_lifetime)).unwrap_or(0);

    let mut event = Event::new(now, server, call.action(kind)?, call.target(set, reference)?);
    event.kind = kind;
    event.arguments = call.arguments()?.map_or(Field::Absent, Field::Present);
    event.subject = who.identity(issuer);
    event.token = TokenFacts {
        aud: list(audience),
        scopes: list(token.scopes()),
        iat: Field::Present(issued),
        exp: Field::Present(issued.plus(i64::from(lifetime))),
        nbf: Field::Absent,
    };
    Ok(event)
}

impl SubjectArgs {
    /// The issuer that was named, or the only one there is.
    pub(super) fn issuer<'a>(&'a self, policy: &'a PolicySet) -> Result<&'a str, Failure> {
        let mut declared = policy.issuers.keys().map(String::as_str);
        match &self.issuer {
            Some(named) if policy.issuers.contains_key(named) => Ok(named),
            Some(named) => {
                let failure = Failure::new(Kind::UnknownName, format!("no issuer `{named}` is declared"));
                Err(suggest(failure, named, declared))
            }
            None => match (declared.next(), declared.next()) {
                (Some(only), None) => Ok(only),
                (None, _) => Err(Failure::new(Kind::UnknownName, "the policy declares no issuer")
                    .help("declare one under `[issuers.NAME]`")),
                (Some(first), Some(_)) => Err(Failure::new(Kind::Usage, "the policy declares several issuers")
                    .help(format!("say which one with --issuer, for example --issuer {first}"))),
            },
        }
    }

    /// The identity that was described.
    pub(super) fn identity(&self, issuer: &str) -> Identity {
        let mut claims: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &self.claim {
            claims.entry(name.clone()).or_default().push(value.clone());
        }
        let text = |given: &Option<String>| given.clone().map_or(Field::Absent, Field::Present);
        Identity {
            issuer: Field::Present(issuer.to_owned()),
            sub: text(&self.sub),
            agent: text(&self.agent),
            groups: list(self.groups.iter().filter(|g| !g.is_empty()).cloned().collect()),
            claims: if claims.is_empty() { Field::Absent } else { Field::Present(claims) },
        }
    }

    /// What is known of the subject. What was not given can be anything; given empty, it is nothing.
    pub(super) fn known(&self, scope: &[String]) -> Who {
        let filled = |list: &[String]| list.iter().filter(|s| !s.is_empty()).cloned().collect::<Vec<_>>();
        let given = |list: &[String]| (!list.is_empty()).then(|| filled(list));
        let mut claims: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &self.claim {
            claims.entry(name.clone()).or_default().push(value.clone());
        }
        Who {
            issuer: self.issuer.clone(),
            id: self.sub.clone(),
            agent: self.agent.as_ref().map(|agent| Some(agent.clone()).filter(|a| !a.is_empty())),
            groups: given(&self.groups),
            claims,
            scopes: given(scope),
        }
    }
}

impl TokenArgs {
    /// The scopes, without the empty ones that double spaces leave.
    pub(super) fn scopes(&self) -> Vec<String> {
        self.scope.iter().filter(|s| !s.is_empty()).cloned().collect()
    }
}

/// Reads one event of a recording from a file, or from stdin for `-`.
fn read_request(path: &Path) -> Result<Event, Failure> {
    read_event(&files::read(path, REQUEST_LIMIT)?).map_err(|e| {
        Failure::new(Kind::BadInput, format!("`{}` is no request: {e}", files::display_name(path)))
            .help("`doorward decide --format event` writes one from flags")
    })
}

/// Adds a help line with the nearest known name.
pub(super) fn suggest<'a>(failure: Failure, word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Failure {
    match did_you_mean(word, known.clone()) {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None => {
            let some: Vec<String> = known.take(8).map(|name| format!("`{name}`")).collect();
            if some.is_empty() { failure } else { failure.help(format!("there is {}", some.join(", "))) }
        }
    }
}

fn list(values: Vec<String>) -> Field<Vec<String>> {
    if values.is_empty() { Field::Absent } else { Field::Present(values) }
}

/// Reads `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str) -> CallArgs {
        CallArgs { call: text.to_owned(), ..CallArgs::default() }
    }

    #[test]
    fn a_call_names_a_server_and_what_is_behind_it() {
        let read = |text: &str| call(text).reference().map(|(s, k, n)| (s.to_owned(), k, n.to_owned())).ok();
        let to = |server: &str, kind, name: &str| Some((server.to_owned(), kind, name.to_owned()));
        assert_eq!(read("tickets:search"), to("tickets", ResourceKind::Tool, "search"));
        assert_eq!(read("tickets:prompt:triage"), to("tickets", ResourceKind::Prompt, "triage"));
        assert_eq!(read("tickets:resource:manuals"), to("tickets", ResourceKind::Resource, "manuals"));
        assert_eq!(read("tickets:"), to("tickets", ResourceKind::Server, ""));
        assert_eq!(read("tickets"), None);
        assert_eq!(read(":search"), None);
    }

    #[test]
    fn arguments_come_from_json_and_from_single_values() {
        let mut call = call("a:b");
        assert_eq!(call.arguments().unwrap(), None);
        call.arg = vec![pair("amount=20").unwrap(), pair("ticket=T-1").unwrap(), pair("note=a=b").unwrap()];
        let expected = serde_json::json!({"amount": 20, "ticket": "T-1", "note": "a=b"});
        assert_eq!(call.arguments().unwrap(), expected.as_object().cloned());
        call.args = Some(r#"{"amount":1}"#.to_owned());
        assert!(call.arguments().is_err(), "the same argument twice");
        call.args = Some("[1]".to_owned());
        assert!(call.arguments().is_err());
    }
}
