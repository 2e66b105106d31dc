//! What was asked, and what may be answered to it.
//!
//! An answer is one JSON-RPC response to the very id. Lists and capabilities lose what the caller may
//! not have, tasks and states become the caller's, and everything else keeps its bytes.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::caller::Caller;
use super::edit::{NotRead, Object, elements, is_shallow};
use super::filter;
use super::memory::{KeptArguments, RequestKey, Task, Waiting};
use super::state::Bound;
use crate::mcp::{Id, json};
use crate::model::{Action, ResourceKind};

/// A request that was passed on.
pub(super) struct Asked {
    pub(super) caller: Arc<Caller>,
    pub(super) id: Id,
    pub(super) method: String,
    pub(super) action: Action,
    pub(super) kind: ResourceKind,
    pub(super) name: String,
    pub(super) arguments: Option<Arc<Map<String, Value>>>,
    /// Whether it speaks revision 2026-07-28 or later.
    pub(super) modern: bool,
    pub(super) session: Option<String>,
    /// Under which token it wants to hear of progress.
    pub(super) progress: Option<Value>,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What the server said is none of what it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lie;

impl From<NotRead> for Lie {
    fn from(_: NotRead) -> Self {
        Self
    }
}

/// A message that may be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// The text in place of what came; `None` for the very bytes.
    pub(super) instead: Option<String>,
    /// The code of a JSON-RPC error.
    pub(super) error: Option<i64>,
}

impl Asked {
    /// Judges the response.
    pub(super) fn response(&self, text: &[u8]) -> Result<Said, Lie> {
        let limits = self.caller.guard.limits();
        if text.len() > limits.answer.bytes || !is_shallow(text, limits.answer.depth) {
            return Err(Lie);
        }
        let text = std::str::from_utf8(text).map_err(|_| Lie)?;
        let mut message = Object::read(text)?;
        if message.text("jsonrpc").as_deref() != Some("2.0") || message.get("method").is_some() {
            return Err(Lie);
        }
        let (result, error) = (message.get("result"), message.get("error"));
        if let (None, Some(error)) = (result, error) {
            let error = Object::read(error)?;
            let code = error.get("code").and_then(|code| code.parse().ok()).ok_or(Lie)?;
            self.pages(code, &error)?;
            // What cannot be read has no id to answer to.
            if message.get("id").is_some_and(|id| !is_id(id, &self.id) && id != "null") {
                return Err(Lie);
            }
            return Ok(Said { instead: None, error: Some(code) });
        }
        let (Some(result), None) = (result, error) else { return Err(Lie) };
        if !message.get("id").is_some_and(|id| is_id(id, &self.id)) {
            return Err(Lie);
        }
        let instead = self.result(result)?;
        Ok(Said {
            instead: instead.map(|result| {
                message.set("result", result);
                message.write()
            }),
            error: None,
        })
    }

    /// Judges a result. `None` to pass it on as it is.
    fn result(&self, text: &str) -> Result<Option<String>, Lie> {
        let caller = &*self.caller;
        match self.action {
            Action::Initialize | Action::Discover => filter::capabilities(caller, text, self.modern).map(Some),
            Action::ToolsList
            | Action::PromptsList
            | Action::ResourcesList
            | Action::ResourceTemplatesList
            | Action::TasksList => filter::list(caller, self.action, text, self.modern).map(Some),
            Action::ToolsCall | Action::PromptsGet | Action::ResourcesRead => self.content(text),
            Action::TasksGet | Action::TasksResult | Action::TasksUpdate => {
                let result = Object::read(text)?;
                self.inputs(&result)?;
                Ok(None)
            }
            _ => {
                Object::read(text)?;
                Ok(None)
            }
        }
    }

    /// A result that may be one of several: content, a task, a question back.
    fn content(&self, text: &str) -> Result<Option<String>, Lie> {
        let mut result = Object::read(text)?;
        let kind = result.text("resultType");
        let mut changed = false;
        if self.action == Action::ToolsCall {
            let task = match result.get("task") {
                Some(task) => Object::read(task)?.text("taskId"),
                None => result.text("taskId").filter(|_| kind.as_deref() == Some("task")),
            };
            if let Some(id) = task {
                self.remember(id)?;
            } else if kind.as_deref() == Some("task") {
                return Err(Lie);
            }
        }
        self.inputs(&result)?;
        if let Some(state) = result.get("requestState") {
            let state: String = serde_json::from_str(state).map_err(|_| Lie)?;
            let caller = &*self.caller;
            let until = caller.guard.now().plus(i64::from(caller.guard.limits().state_for));
            let sealed = caller.guard.0.state.seal(&state, self.bound(), until).ok_or(Lie)?;
            result.set("requestState", Value::from(sealed).to_string());
            changed = true;
        }
        if self.action == Action::ResourcesRead && result.text("cacheScope").is_some_and(|scope| scope != "private") {
            result.set("cacheScope", "\"private\"".to_owned());
            changed = true;
        }
        Ok(changed.then(|| result.write()))
    }

    /// Whether it lasts until somebody ends it.
    pub(super) fn lasts(&self) -> bool {
        self.action == Action::SubscriptionsListen
    }

    /// Whether the policy in force, which is another by now, lets it go on.
    pub(super) fn may_go_on(&self) -> bool {
        if self.lasts() {
            return self.caller.may_stay();
        }
        self.caller.might((self.action, self.kind, &self.name), self.arguments.as_deref())
    }

    /// Under what this request is remembered while it is under way.
    pub(super) fn key(&self) -> RequestKey {
        RequestKey {
            door: Arc::clone(self.caller.door.place()),
            principal: self.caller.principal.clone(),
            session: self.session.clone(),
            id: self.id.clone(),
        }
    }

    /// What of it is remembered, so that its answer can be judged on another stream.
    pub(super) fn waiting(&self, wants_task: bool) -> Waiting {
        let Self { method, action, kind, name, arguments, .. } = self;
        let arguments = arguments.as_deref().filter(|_| wants_task).and_then(KeptArguments::of);
        Waiting { method: method.clone(), action: *action, kind: *kind, name: name.clone(), arguments }
    }

    /// A request whose own stream is gone, for whoever holds the stream of its session now.
    pub(super) fn of(waiting: Waiting, key: RequestKey, holder: &Caller) -> Self {
        Self {
            caller: Arc::new(holder.anew()),
            id: key.id,
            method: waiting.method,
            action: waiting.action,
            kind: waiting.kind,
            name: waiting.name,
            arguments: waiting.arguments.and_then(|kept| kept.read()),
            modern: false,
            session: key.session,
            progress: None,
        }
    }

    /// What a state of this call is bound to.
    pub(super) fn bound(&self) -> Bound<'_> {
        Bound {
            door: self.caller.door.place(),
            principal: &self.caller.principal,
            method: &self.method,
            name: &self.name,
        }
    }

    /// Makes a task the caller's. A task that is another's already is a lie of the server.
    fn remember(&self, id: String) -> Result<(), Lie> {
        let caller = &*self.caller;
        let arguments = self.arguments.as_deref().and_then(KeptArguments::of);
        let task = Task { tool: self.name.clone(), arguments };
        let key = (Arc::clone(caller.door.place()), id);
        caller.guard.0.memory.tasks.put(key, &caller.principal, task, caller.guard.now()).map(drop).map_err(|_| Lie)
    }

    /// Questions back to the client (MCP 2026-07-28) are of the kinds that the client is asked at all.
    fn inputs(&self, result: &Object<'_>) -> Result<(), Lie> {
        let Some(inputs) = result.get("inputRequests") else { return Ok(()) };
        for (_, input) in members(inputs)? {
            let input = Object::read(&input)?;
            let method = input.text("method").ok_or(Lie)?;
            if !filter::client_answers(&self.caller, &method, &self.read(input.get("params"))?) {
                return Err(Lie);
            }
        }
        Ok(())
    }

    /// An error that sends the user to pages first (MCP 2025-11-25) sends to none but those it may.
    fn pages(&self, code: i64, error: &Object<'_>) -> Result<(), Lie> {
        let Some(data) = error.get("data").filter(|_| code == PAGES_FIRST) else { return Ok(()) };
        let data = Object::read(data)?;
        for page in elements(data.get("elicitations").unwrap_or("[]"))? {
            let page = self.read(Some(page))?;
            if !page.contains_key("url") || !filter::may_elicit(&self.caller, &page) {
                return Err(Lie);
            }
        }
        Ok(())
    }

    /// An object, read as strictly as a request.
    fn read(&self, text: Option<&str>) -> Result<Map<String, Value>, Lie> {
        let Some(text) = text else { return Ok(Map::new()) };
        match json::read(text.as_bytes(), self.caller.guard.limits().answer.depth) {
            Ok(Value::Object(object)) => Ok(object),
            _ => Err(Lie),
        }
    }
}

/// The error by which a server asks for elicitations on pages before it goes on.
const PAGES_FIRST: i64 = -32_042;

/// Whether the text of an id is this id. `1.0` and `1` are two for some readers, so only one passes.
fn is_id(text: &str, id: &Id) -> bool {
    match id {
        Id::Text(id) => serde_json::from_str::<String>(text).is_ok_and(|text| text == *id),
        Id::Number(id) => text == id.to_string(),
    }
}

/// The members of an object, or the elements of an array, as text.
fn members(text: &str) -> Result<Vec<(String, String)>, Lie> {
    if text.starts_with('[') {
        return Ok(elements(text)?.into_iter().map(|e| (String::new(), e.to_owned())).collect());
    }
    Ok(Object::read(text)?.into_members())
}
