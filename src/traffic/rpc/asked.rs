//! What a JSON-RPC request of MCP asks for: method, kind, name and arguments.
//!
//! The methods of every protocol revision. A request whose thing cannot be told is an error, and a
//! method that is not known stays as it is: a policy denies it.

use serde_json::{Map, Value};

use crate::model::{Action, ResourceKind};
use crate::traffic::event::{Field, only_kind};
use crate::traffic::fieldmap::Asked;

/// Requests that only servers send.
const OF_SERVERS: [&str; 3] = ["sampling/createMessage", "elicitation/create", "roots/list"];

/// Whether only servers send such requests.
pub(super) fn is_of_servers(method: &str) -> bool {
    OF_SERVERS.contains(&method)
}

/// What a request asks for. `task` tells the tool that made a task.
///
/// Nearly always one thing; `subscriptions/listen` asks for each URI in it as well, and each is
/// judged like a subscription of the earlier revisions.
pub(super) fn asked(
    method: &str,
    params: &Map<String, Value>,
    task: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Asked>, String> {
    let action = Action::from_method(method);
    let text = |key: &str| {
        let value = params.get(key).and_then(Value::as_str);
        value.map(str::to_owned).ok_or_else(|| format!("`{method}` without a text `{key}`"))
    };
    let one = |kind: ResourceKind, name: String| Asked {
        method: method.to_owned(),
        kind,
        name,
        arguments: Field::Absent,
        withheld: Vec::new(),
    };
    let first = match action {
        Action::ToolsCall => Asked { arguments: arguments(params)?, ..one(ResourceKind::Tool, text("name")?) },
        Action::PromptsGet => Asked { arguments: arguments(params)?, ..one(ResourceKind::Prompt, text("name")?) },
        Action::ResourcesRead | Action::ResourcesSubscribe | Action::ResourcesUnsubscribe => {
            one(ResourceKind::Resource, text("uri")?)
        }
        Action::CompletionComplete => {
            let about = params.get("ref");
            let part = |key: &str| about.and_then(|about| about.get(key)).and_then(Value::as_str);
            match (part("type"), part("name"), part("uri")) {
                (Some("ref/prompt"), Some(name), _) => one(ResourceKind::Prompt, name.to_owned()),
                (Some("ref/resource"), _, Some(uri)) => one(ResourceKind::Resource, uri.to_owned()),
                _ => return Err(format!("`{method}` without a `ref` to a prompt or a resource")),
            }
        }
        Action::TasksGet | Action::TasksResult | Action::TasksUpdate | Action::TasksCancel => {
            let id = text("taskId")?;
            let tool = task(&id).ok_or_else(|| format!("which tool made the task `{id}` is not in the log"))?;
            one(ResourceKind::Tool, tool)
        }
        _ => one(only_kind(action).unwrap_or(ResourceKind::Server), String::new()),
    };
    let mut all = vec![first];
    if action == Action::SubscriptionsListen {
        let uris = params.get("notifications").and_then(|n| n.get("resourceSubscriptions")).and_then(Value::as_array);
        for uri in uris.into_iter().flatten() {
            let uri = uri.as_str().ok_or_else(|| format!("`{method}` with a URI that is not a text"))?;
            let method = Action::ResourcesSubscribe.method().to_owned();
            all.push(Asked { method, ..one(ResourceKind::Resource, uri.to_owned()) });
        }
    }
    Ok(all)
}

fn arguments(params: &Map<String, Value>) -> Result<Field<Map<String, Value>>, String> {
    match params.get("arguments") {
        None | Some(Value::Null) => Ok(Field::Absent),
        Some(Value::Object(map)) => Ok(Field::Present(map.clone())),
        Some(_) => Err("the arguments are not an object".to_owned()),
    }
}

/// The protocol revision that a request names itself, as those of 2026-07-28 and later do.
pub(super) fn era(params: &Map<String, Value>) -> Option<&str> {
    params.get("_meta")?.get("io.modelcontextprotocol/protocolVersion")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(method: &str, params: &Value) -> String {
        let task = |id: &str| (id == "t-1").then(|| "export".to_owned());
        match asked(method, params.as_object().unwrap(), &task) {
            Ok(all) => all
                .iter()
                .map(|a| format!("{} {:?} {} {:?}", a.method, a.kind, a.name, a.arguments.present().map(Map::len)))
                .collect::<Vec<_>>()
                .join("; "),
            Err(message) => format!("! {message}"),
        }
    }

    #[test]
    fn every_method_names_what_it_reaches() {
        let uri = json!({"uri": "file:///a", "taskId": "t-1", "name": "n", "ref": {"type": "ref/prompt", "name": "p"}});
        let all: Vec<String> = Action::ALL.iter().map(|action| ask(action.method(), &uri)).collect();
        insta::assert_snapshot!(all.join("\n"));
        for action in Action::ALL {
            let made = asked(action.method(), uri.as_object().unwrap(), &|_| Some("t".to_owned())).unwrap();
            assert!(action.reaches().contains(&made[0].kind), "{}", action.method());
        }
    }

    #[test]
    fn what_cannot_be_told_is_an_error() {
        for (method, params) in [
            ("tools/call", json!({})),
            ("tools/call", json!({"name": 7})),
            ("tools/call", json!({"name": "t", "arguments": [1]})),
            ("resources/read", json!({"name": "x"})),
            ("completion/complete", json!({"ref": {"type": "ref/resource", "name": "x"}})),
            ("tasks/get", json!({"taskId": "t-2"})),
            ("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": [1]}})),
        ] {
            assert!(ask(method, &params).starts_with('!'), "{method} {params}");
        }
        let listen = json!({"notifications": {"toolsListChanged": true, "resourceSubscriptions": ["file:///a"]}});
        assert_eq!(
            ask("subscriptions/listen", &listen),
            "subscriptions/listen Server  None; resources/subscribe Resource file:///a None"
        );
        assert_eq!(ask("vendor/do", &json!({})), "vendor/do Server  None");
        assert_eq!(ask("tools/call", &json!({"name": "t", "arguments": {}})), "tools/call Tool t Some(0)");
    }
}
