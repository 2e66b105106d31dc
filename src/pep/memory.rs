//! What is remembered of callers: whose a session, a task or a request under way is.
//!
//! All of it is bounded, in all and for each principal, and lasts only so long. Nothing here holds a
//! policy, a token or a parsed message.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::guard::Guard;
use super::held::{Held, NotHeld, Weigh};
use super::limits::Limits;
use super::principal::Principal;
use crate::mcp::Id;
use crate::model::{Action, ResourceKind};

/// Arguments that are longer, in bytes of JSON, are not kept.
const KEPT_ARGUMENTS: usize = 64 << 10;

/// A session, by its door with the server behind it and the id that the server gave it.
pub(super) type SessionKey = (Arc<str>, String);
/// A task, by its door and id.
pub(super) type TaskKey = (Arc<str>, String);

/// A request under way: whose it is, at which door, in which session, and its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestKey {
    pub(super) door: Arc<str>,
    pub(super) principal: Principal,
    pub(super) session: Option<String>,
    pub(super) id: Id,
}

/// The tool call that a task came from, so that each look at it is decided like the call.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) tool: String,
    pub(super) arguments: Option<KeptArguments>,
}

/// The arguments of a call, as text: parsed they would take many times as much. `None` in place of
/// them means that they were too long; then nothing that asks about them passes.
#[derive(Clone, Debug)]
pub(super) struct KeptArguments(Arc<str>);

impl KeptArguments {
    pub(super) fn of(arguments: &Map<String, Value>) -> Option<Self> {
        let text = serde_json::to_string(arguments).ok()?;
        (text.len() <= KEPT_ARGUMENTS).then(|| Self(text.into()))
    }

    pub(super) fn read(&self) -> Option<Arc<Map<String, Value>>> {
        serde_json::from_str(&self.0).ok().map(Arc::new)
    }
}

/// A request of an older revision whose answer may come on another stream.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) method: String,
    pub(super) action: Action,
    pub(super) kind: ResourceKind,
    pub(super) name: String,
    /// Only of a call that asks for a task.
    pub(super) arguments: Option<KeptArguments>,
}

/// A request of a server to a client.
#[derive(Clone, Debug)]
pub(super) struct ServerRequest {
    pub(super) method: String,
}

/// Everything that is remembered.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) sessions: Held<SessionKey, ()>,
    pub(super) tasks: Held<TaskKey, Task>,
    pub(super) under_way: Held<RequestKey, Waiting>,
    pub(super) server_requests: Held<RequestKey, ServerRequest>,
    /// The tokens under which servers want to hear of progress.
    pub(super) progress: Held<RequestKey, ()>,
}

impl Memory {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            sessions: Held::new(limits),
            tasks: Held::new(limits),
            under_way: Held::new(limits),
            server_requests: Held::new(limits),
            progress: Held::new(limits),
        }
    }
}

impl Memory {
    /// The bytes of everything that is remembered.
    pub(super) fn bytes(&self) -> usize {
        let Self { sessions, tasks, under_way, server_requests, progress } = self;
        let all = [sessions.size(), tasks.size(), under_way.size(), server_requests.size(), progress.size()];
        all.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// A remembered request under way. Dropped, it is forgotten: nobody waits for its answer any more.
pub(super) struct UnderWay {
    guard: Guard,
    key: RequestKey,
    number: u64,
    stays: bool,
}

impl UnderWay {
    pub(super) fn begin(guard: &Guard, key: RequestKey, waiting: Waiting) -> Result<Self, NotHeld> {
        let number = guard.0.memory.under_way.put(key.clone(), &key.principal, waiting, guard.now())?;
        Ok(Self { guard: guard.clone(), key, number, stays: false })
    }

    /// Its caller has heard the id of an event, and may come back with it for the rest.
    pub(super) const fn stays(&mut self) {
        self.stays = true;
    }

    /// It is answered: nothing more may be said to it.
    pub(super) fn answered(mut self) {
        self.stays = false;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.stays {
            self.guard.0.memory.under_way.forget(&self.key, self.number);
        }
    }
}

impl Weigh for (Arc<str>, String) {
    fn weight(&self) -> usize {
        self.1.len()
    }
}

impl Weigh for RequestKey {
    fn weight(&self) -> usize {
        let id = match &self.id {
            Id::Text(text) => text.len(),
            Id::Number(_) => 0,
        };
        id + self.session.as_ref().map_or(0, String::len)
    }
}

impl Weigh for Task {
    fn weight(&self) -> usize {
        self.tool.len() + self.arguments.as_ref().map_or(0, |kept| kept.0.len())
    }
}

impl Weigh for Waiting {
    fn weight(&self) -> usize {
        self.method.len() + self.name.len() + self.arguments.as_ref().map_or(0, |kept| kept.0.len())
    }
}

impl Weigh for ServerRequest {
    fn weight(&self) -> usize {
        self.method.len()
    }
}
