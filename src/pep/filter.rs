//! Lists and capabilities, without what the caller may not have.
//!
//! An entry is listed when some call of it could be allowed to this caller with this token. Entries
//! that stay keep their bytes, and so does the cursor; a page may be empty and still have a next one.

use serde_json::{Map, Value};

use super::asked::Lie;
use super::caller::Caller;
use super::edit::{Object, array, elements};
use super::memory::TaskKey;
use crate::model::{Action, Arguments, ResourceKind};
use crate::policy::argument::canonical_host;
use crate::policy::set::ClientRequests;

/// The extension whose methods a policy can judge.
pub(super) const TASKS: &str = "io.modelcontextprotocol/tasks";

/// A page of a list.
pub(super) fn list(caller: &Caller, action: Action, text: &str, modern: bool) -> Result<String, Lie> {
    let key = match action {
        Action::ToolsList => "tools",
        Action::PromptsList => "prompts",
        Action::ResourcesList => "resources",
        Action::ResourceTemplatesList => "resourceTemplates",
        Action::TasksList => "tasks",
        _ => return Err(Lie),
    };
    let mut result = Object::read(text)?;
    let entries = elements(result.get(key).ok_or(Lie)?)?;
    if entries.len() > caller.guard.limits().entries {
        return Err(Lie);
    }
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries {
        if shows(caller, action, &Object::read(entry)?)? {
            kept.push(entry);
        }
    }
    let kept = array(&kept);
    result.set(key, kept);
    make_private(&mut result, modern);
    Ok(result.write())
}

fn shows(caller: &Caller, action: Action, entry: &Object<'_>) -> Result<bool, Lie> {
    Ok(match action {
        Action::ToolsList => {
            let name = entry.text("name").ok_or(Lie)?;
            caller.could((Action::ToolsCall, ResourceKind::Tool, &name))
        }
        Action::PromptsList => {
            let name = entry.text("name").ok_or(Lie)?;
            caller.could((Action::PromptsGet, ResourceKind::Prompt, &name))
        }
        Action::ResourcesList => {
            let uri = entry.text("uri").ok_or(Lie)?;
            caller.could((Action::ResourcesRead, ResourceKind::Resource, &uri))
        }
        Action::ResourceTemplatesList => caller.could_fit(&entry.text("uriTemplate").ok_or(Lie)?),
        _ => may_see_task(caller, &entry.text("taskId").ok_or(Lie)?),
    })
}

/// Whether a task is the caller's, and the tool that made it still allowed.
pub(super) fn may_see_task(caller: &Caller, id: &str) -> bool {
    let key: TaskKey = (std::sync::Arc::clone(caller.door.place()), id.to_owned());
    let Some(task) = caller.guard.0.memory.tasks.get(&key, &caller.principal, caller.guard.now()) else { return false };
    let arguments = task.arguments.and_then(|kept| kept.read());
    let arguments = arguments.as_deref().map_or(Arguments::NONE, Arguments::known);
    caller.may((Action::TasksGet, ResourceKind::Tool, &task.tool), arguments)
}

/// Whether the policy in force lets the caller hear of a URI.
pub(super) fn may_hear_of(caller: &Caller, uri: &str) -> bool {
    caller.may((Action::ResourcesRead, ResourceKind::Resource, uri), Arguments::NONE)
}

/// What is filtered for one caller must not be kept for another.
fn make_private(result: &mut Object<'_>, modern: bool) {
    if modern || result.get("cacheScope").is_some() {
        result.set("cacheScope", "\"private\"".to_owned());
    }
}

/// What a server says it can do, to a caller.
pub(super) fn capabilities(caller: &Caller, text: &str, modern: bool) -> Result<String, Lie> {
    let mut result = Object::read(text)?;
    if let Some(announced) = result.get("capabilities") {
        let mut announced = Object::read(announced)?;
        let has = |kind| caller.has_any(kind);
        let (tools, prompts, resources) =
            (has(ResourceKind::Tool), has(ResourceKind::Prompt), has(ResourceKind::Resource));
        announced.keep(|key| match key {
            "tools" | "tasks" => tools,
            "prompts" => prompts,
            "resources" => resources,
            "completions" => prompts || resources,
            "logging" | "extensions" => true,
            // Whatever else a server offers, no policy can allow.
            _ => false,
        });
        keep_extensions(&mut announced, tools)?;
        result.set("capabilities", announced.write());
    }
    if modern {
        make_private(&mut result, modern);
    }
    Ok(result.write())
}

fn keep_extensions(announced: &mut Object<'_>, tasks: bool) -> Result<bool, Lie> {
    let Some(extensions) = announced.get("extensions") else { return Ok(false) };
    let mut extensions = Object::read(extensions)?;
    let changed = extensions.keep(|name| name == TASKS && tasks);
    let text = extensions.write();
    announced.set("extensions", text);
    Ok(changed)
}

/// What the policy in force lets the server behind this door ask of clients.
fn of_clients(caller: &Caller) -> ClientRequests {
    let rules = caller.guard.0.rules.load();
    rules.policy.set().servers.get(&**caller.door.name()).map(|server| server.client.clone()).unwrap_or_default()
}

/// Whether a server may ask a client for this.
pub(super) fn client_answers(caller: &Caller, method: &str, params: &Map<String, Value>) -> bool {
    match method {
        "sampling/createMessage" => of_clients(caller).sampling,
        "elicitation/create" => may_elicit(caller, params),
        "roots/list" => of_clients(caller).roots,
        "ping" | "tasks/get" | "tasks/result" | "tasks/list" | "tasks/cancel" => true,
        _ => false,
    }
}

/// Whether a server may ask the user this: by a form, or on a page of a host that the policy names.
pub(super) fn may_elicit(caller: &Caller, params: &Map<String, Value>) -> bool {
    let client = of_clients(caller);
    let by_form = matches!(params.get("mode").map(Value::as_str), None | Some(Some("form")));
    let page = params.get("url");
    client.elicitation
        && match page {
            None => by_form,
            Some(url) => url.as_str().is_some_and(|url| {
                let secure = url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
                let host = canonical_host(url).filter(|_| secure);
                host.is_some_and(|host| client.elicitation_hosts.iter().any(|pattern| pattern.matches(host)))
            }),
        }
}

/// What a client says it can do, to a server: without what servers may not ask for, and without what
/// cannot be judged. `None` when nothing has to go.
pub(super) fn client_capabilities(caller: &Caller, text: &str) -> Result<Option<String>, Lie> {
    let mut announced = Object::read(text)?;
    let client = of_clients(caller);
    let mut forms_only = None;
    if client.elicitation
        && client.elicitation_hosts.is_empty()
        && let Some(elicitation) = announced.get("elicitation")
    {
        let mut elicitation = Object::read(elicitation)?;
        let has_form = elicitation.get("form").is_some();
        // Whoever shows pages and no forms is not asked at all: nothing left would say the contrary.
        forms_only = elicitation.keep(|key| key != "url").then(|| has_form.then(|| elicitation.write()));
    }
    let mut changed = announced.keep(|key| match key {
        "sampling" => client.sampling,
        "elicitation" => client.elicitation && forms_only != Some(None),
        "roots" => client.roots,
        "tasks" | "extensions" => true,
        _ => false,
    });
    if let Some(Some(forms)) = forms_only {
        announced.set("elicitation", forms);
        changed = true;
    }
    changed |= keep_extensions(&mut announced, true)?;
    Ok(changed.then(|| announced.write()))
}

/// Whether a caller may hear of a URI or a task.
type MayHear = fn(&Caller, &str) -> bool;

/// Params of `subscriptions/listen` with nothing but what the caller may hear of: changes of lists that hold
/// something for it, its URIs and its tasks. `None` when nothing has to go.
pub(super) fn listen(caller: &Caller, params: &Map<String, Value>, text: &str) -> Result<Option<String>, Lie> {
    let mut object = Object::read(text)?;
    let mut wanted = Object::read(object.get("notifications").ok_or(Lie)?)?;
    let Some(asked) = params.get("notifications").and_then(Value::as_object) else { return Err(Lie) };
    let mut changed = wanted.keep(|key| match key {
        "resourceSubscriptions" | "taskIds" => true,
        list => list_of(list).is_some_and(|kind| caller.has_any(kind)),
    });
    if asked.iter().any(|(key, value)| list_of(key).is_some() && !value.is_boolean()) {
        return Err(Lie);
    }
    let allowed: [(&str, MayHear); 2] = [("resourceSubscriptions", may_hear_of), ("taskIds", may_see_task)];
    for (key, may) in allowed {
        let Some(list) = asked.get(key) else { continue };
        let list = list.as_array().ok_or(Lie)?;
        let kept: Vec<&Value> = list.iter().filter(|one| one.as_str().is_some_and(|one| may(caller, one))).collect();
        if kept.len() < list.len() {
            wanted.set(key, serde_json::to_string(&kept).map_err(|_| Lie)?);
            changed = true;
        }
    }
    if !changed {
        return Ok(None);
    }
    let text = wanted.write();
    object.set("notifications", text);
    Ok(Some(object.write()))
}

/// What kind of list a filter of `subscriptions/listen`, or the notification for it, is about.
pub(super) fn list_of(name: &str) -> Option<ResourceKind> {
    match name {
        "toolsListChanged" | "notifications/tools/list_changed" => Some(ResourceKind::Tool),
        "promptsListChanged" | "notifications/prompts/list_changed" => Some(ResourceKind::Prompt),
        "resourcesListChanged" | "notifications/resources/list_changed" => Some(ResourceKind::Resource),
        _ => None,
    }
}
