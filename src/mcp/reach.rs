//! What a request reaches: the table from method and parameters to the things a policy names.
//!
//! Each parameter that decides is read by its exact name. A key that a parser which ignores case
//! would take for one of them is refused, and so is a value of another type.

use serde_json::{Map, Value};

use super::json;
use super::malformed::{Malformed, MalformedCode};
use super::message::{MODERN, revision};
use crate::model::{Action, ResourceKind};

/// What a request reaches. Names and URIs are as written: nothing is normalised here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The server itself.
    Server,
    /// One tool, prompt or resource.
    Thing {
        /// Which kind.
        kind: ResourceKind,
        /// Its name, or the URI of a resource.
        name: String,
    },
    /// A task; which tool made it is known where it was made.
    Task {
        /// Its id.
        id: String,
    },
    /// A stream of changes (MCP 2026-07-28).
    Listen(Listen),
    /// The method is not in the table, or not in the revision that the request states.
    Unknown,
}

/// What a `subscriptions/listen` asks to hear of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// URIs, each judged like a read of it.
    pub resources: Vec<String>,
    /// Tasks, each judged like a look at it.
    pub tasks: Vec<String>,
}

/// The parameters that decide, over all methods.
const DECIDING: [&str; 7] = ["name", "uri", "arguments", "ref", "taskId", "notifications", "_meta"];

/// Whether revision 2026-07-28 took this method away. Nobody answers to it there, whatever its parameters say.
const fn is_gone(action: Action) -> bool {
    matches!(
        action,
        Action::Initialize
            | Action::Ping
            | Action::LoggingSetLevel
            | Action::ResourcesSubscribe
            | Action::ResourcesUnsubscribe
            | Action::TasksList
            | Action::TasksResult
    )
}

impl Reach {
    pub(super) fn of(method: &str, params: &Map<String, Value>) -> Result<Self, Malformed> {
        only_exact(params, &DECIDING)?;
        let thing = |kind, name: &str| Ok(Self::Thing { kind, name: name.to_owned() });
        match Action::from_method(method) {
            action if is_gone(action) && revision(params).is_some_and(|stated| stated >= MODERN) => Ok(Self::Unknown),
            Action::Unknown => Ok(Self::Unknown),
            Action::ToolsCall => {
                arguments(params)?;
                thing(ResourceKind::Tool, text(params, "name")?)
            }
            Action::PromptsGet => {
                arguments(params)?;
                thing(ResourceKind::Prompt, text(params, "name")?)
            }
            Action::ResourcesRead | Action::ResourcesSubscribe | Action::ResourcesUnsubscribe => {
                thing(ResourceKind::Resource, text(params, "uri")?)
            }
            Action::CompletionComplete => {
                let reference = object(params, "ref")?;
                only_exact(reference, &["type", "name", "uri"])?;
                match text(reference, "type")? {
                    "ref/prompt" => thing(ResourceKind::Prompt, text(reference, "name")?),
                    "ref/resource" => thing(ResourceKind::Resource, text(reference, "uri")?),
                    _ => Err(bad("`ref.type` is neither `ref/prompt` nor `ref/resource`")),
                }
            }
            Action::TasksGet | Action::TasksResult | Action::TasksUpdate | Action::TasksCancel => {
                Ok(Self::Task { id: text(params, "taskId")?.to_owned() })
            }
            Action::SubscriptionsListen => {
                let wanted = object(params, "notifications")?;
                only_exact(wanted, &["resourceSubscriptions", "taskIds"])?;
                Ok(Self::Listen(Listen {
                    resources: texts(wanted, "resourceSubscriptions")?,
                    tasks: texts(wanted, "taskIds")?,
                }))
            }
            Action::Initialize
            | Action::Discover
            | Action::Ping
            | Action::ToolsList
            | Action::PromptsList
            | Action::ResourcesList
            | Action::ResourceTemplatesList
            | Action::LoggingSetLevel
            | Action::TasksList => Ok(Self::Server),
        }
    }

    /// What `Mcp-Name` must say (MCP 2026-07-28, routing headers); nothing for other methods.
    pub fn routed_name(&self) -> Option<&str> {
        match self {
            Self::Thing { name, .. } => Some(name),
            Self::Task { id } => Some(id),
            Self::Server | Self::Listen(_) | Self::Unknown => None,
        }
    }
}

/// Refuses a key that is one of these but for its case.
fn only_exact(object: &Map<String, Value>, names: &[&str]) -> Result<(), Malformed> {
    for key in object.keys() {
        if let Some(name) = names.iter().find(|name| **name != key && json::folds_to(key, name)) {
            let message = format!("a parameter that is `{name}` but for its case");
            return Err(Malformed::new(MalformedCode::AmbiguousKey, message));
        }
    }
    Ok(())
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Result<&'a str, Malformed> {
    match object.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(Value::String(_)) => Err(bad(format!("`{key}` is empty"))),
        Some(_) => Err(bad(format!("`{key}` is not a string"))),
        None => Err(bad(format!("`{key}` is missing"))),
    }
}

fn object<'a>(params: &'a Map<String, Value>, key: &str) -> Result<&'a Map<String, Value>, Malformed> {
    match params.get(key) {
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(bad(format!("`{key}` is not an object"))),
        None => Err(bad(format!("`{key}` is missing"))),
    }
}

/// An absent list asks for nothing.
fn texts(object: &Map<String, Value>, key: &str) -> Result<Vec<String>, Malformed> {
    let Some(list) = object.get(key) else { return Ok(Vec::new()) };
    let list = list.as_array().ok_or_else(|| bad(format!("`{key}` is not a list")))?;
    let strings = list.iter().map(|value| value.as_str().map(str::to_owned));
    strings.collect::<Option<_>>().ok_or_else(|| bad(format!("`{key}` does not list strings")))
}

/// Arguments that are there are an object.
fn arguments(params: &Map<String, Value>) -> Result<(), Malformed> {
    match params.get("arguments") {
        None | Some(Value::Object(_)) => Ok(()),
        Some(_) => Err(bad("`arguments` is not an object")),
    }
}

fn bad(message: impl Into<String>) -> Malformed {
    Malformed::new(MalformedCode::Params, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reach(method: &str, params: &Value) -> Result<Reach, String> {
        Reach::of(method, params.as_object().unwrap()).map_err(|e| e.to_string())
    }

    fn thing(kind: ResourceKind, name: &str) -> Reach {
        Reach::Thing { kind, name: name.to_owned() }
    }

    #[test]
    fn every_method_of_the_table_names_what_a_policy_names() {
        let uri = "file:///srv/a";
        for (method, params, expected) in [
            ("tools/call", json!({ "name": "t" }), thing(ResourceKind::Tool, "t")),
            ("prompts/get", json!({ "name": "p", "arguments": {} }), thing(ResourceKind::Prompt, "p")),
            ("resources/read", json!({ "uri": uri }), thing(ResourceKind::Resource, uri)),
            ("resources/subscribe", json!({ "uri": uri }), thing(ResourceKind::Resource, uri)),
            (
                "completion/complete",
                json!({ "ref": { "type": "ref/prompt", "name": "p" }, "argument": {} }),
                thing(ResourceKind::Prompt, "p"),
            ),
            (
                "completion/complete",
                json!({ "ref": { "type": "ref/resource", "uri": uri } }),
                thing(ResourceKind::Resource, uri),
            ),
            ("tasks/get", json!({ "taskId": "7" }), Reach::Task { id: "7".into() }),
            (
                "subscriptions/listen",
                json!({ "notifications": { "toolsListChanged": true, "resourceSubscriptions": [uri], "taskIds": ["7"] } }),
                Reach::Listen(Listen { resources: vec![uri.into()], tasks: vec!["7".into()] }),
            ),
            ("vendor/extra", json!({ "name": "t" }), Reach::Unknown),
        ] {
            assert_eq!(reach(method, &params).unwrap(), expected, "{method}");
        }
        for action in Action::ALL.iter().filter(|a| a.reaches() == [ResourceKind::Server]) {
            let reach = reach(action.method(), &json!({ "notifications": {} })).unwrap();
            assert!(matches!(reach, Reach::Server | Reach::Listen(_)), "{action:?}");
        }
    }

    #[test]
    fn a_method_that_a_revision_took_away_reaches_nothing_in_it() {
        let stating = |revision: &str| json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": revision } });
        for method in ["initialize", "ping", "logging/setLevel", "tasks/list"] {
            assert_eq!(reach(method, &stating("2026-07-28")), Ok(Reach::Unknown), "{method}");
            assert_eq!(reach(method, &stating("2025-11-25")), Ok(Reach::Server), "{method}");
        }
        // Parameters that an older revision needs are no matter then.
        for method in ["resources/subscribe", "resources/unsubscribe", "tasks/result"] {
            assert_eq!(reach(method, &stating("2026-07-28")), Ok(Reach::Unknown), "{method}");
            reach(method, &stating("2025-11-25")).unwrap_err();
        }
        assert_eq!(reach("tools/list", &stating("2026-07-28")), Ok(Reach::Server));
    }

    #[test]
    fn parameters_that_do_not_say_what_is_reached_are_refused() {
        let said: Vec<String> = [
            ("tools/call", json!({})),
            ("tools/call", json!({ "name": 7 })),
            ("tools/call", json!({ "name": "" })),
            ("tools/call", json!({ "name": "t", "arguments": [] })),
            ("tools/call", json!({ "name": "t", "Arguments": {} })),
            ("tools/call", json!({ "Name": "t" })),
            ("completion/complete", json!({ "ref": { "type": "ref/other", "name": "p" } })),
            ("subscriptions/listen", json!({ "notifications": { "resourceSubscriptions": [1] } })),
            ("subscriptions/listen", json!({ "notifications": { "ResourceSubscriptions": [] } })),
        ]
        .iter()
        .map(|(method, params)| reach(method, params).unwrap_err())
        .collect();
        insta::assert_snapshot!(said.join("\n"), @"
        `name` is missing (message-params)
        `name` is not a string (message-params)
        `name` is empty (message-params)
        `arguments` is not an object (message-params)
        a parameter that is `arguments` but for its case (message-ambiguous-key)
        a parameter that is `name` but for its case (message-ambiguous-key)
        `ref.type` is neither `ref/prompt` nor `ref/resource` (message-params)
        `resourceSubscriptions` does not list strings (message-params)
        a parameter that is `resourceSubscriptions` but for its case (message-ambiguous-key)
        ");
    }
}
