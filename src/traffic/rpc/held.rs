//! Requests whose answer may still come, and what is known of each conversation.
//!
//! All of it is bounded: what is over a limit goes on without its answer, which costs a verdict and
//! never an event.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::Value;

use crate::model::{Action, Timestamp};
use crate::traffic::event::{Event, Field};
use crate::traffic::foreign::Foreign;
use crate::traffic::reader::Place;

/// The most requests that are held.
const MAX_HELD: usize = 1_024;

/// The most conversations, tasks and requests of servers that are remembered, of each.
const MAX_KNOWN: usize = 10_000;

/// A request by its conversation and its id. Ids are unique only among those of one sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asker {
    /// Server and session.
    pub(super) scope: String,
    /// The id as JSON, so that `1` and `"1"` are two.
    pub(super) id: String,
}

/// What an answer answered.
pub(super) enum Answered {
    Request,
    Nothing,
}

struct One {
    place: Place,
    event: Box<Event>,
    known: bool,
    asker: Asker,
    settled: bool,
}

/// The requests that are held, in their order.
#[derive(Default)]
pub(in crate::traffic) struct Held {
    queue: VecDeque<One>,
    /// The number of the first one in the queue.
    first: u64,
    /// Those without an answer, by their numbers.
    open: HashMap<Asker, Vec<u64>>,
    servers: HashSet<Asker>,
    eras: HashMap<String, String>,
    begins: HashMap<String, Timestamp>,
    tasks: HashMap<(String, String), String>,
}

impl Held {
    pub(super) fn len(&self) -> u64 {
        self.queue.len() as u64
    }

    pub(super) fn push(&mut self, place: Place, event: Box<Event>, known: bool, asker: Asker) {
        let number = self.first + self.len();
        let settled = event.foreign.is_some();
        let open = self.open.entry(asker.clone()).or_default();
        // An id that is used again stands for the newer request; those of one message go together.
        open.retain(|other| {
            let index = usize::try_from(other - self.first).unwrap_or(usize::MAX);
            self.queue.get(index).is_some_and(|one| one.place == place)
        });
        open.push(number);
        self.queue.push_back(One { place, event, known, asker, settled });
    }

    /// The next event that needs no answer any more; with `all`, the next.
    pub(super) fn next(&mut self, all: bool) -> Option<(Place, Box<Event>, bool)> {
        let front = self.queue.front()?;
        if !all && !front.settled && self.queue.len() <= MAX_HELD {
            return None;
        }
        let one = self.queue.pop_front()?;
        let number = self.first;
        self.first += 1;
        if let Some(open) = self.open.get_mut(&one.asker) {
            open.retain(|other| *other != number);
            if open.is_empty() {
                self.open.remove(&one.asker);
            }
        }
        Some((one.place, one.event, one.known))
    }

    /// Settles the request that this answers.
    pub(super) fn answer(&mut self, asker: &Asker, response: &Value, verdict: Option<&Foreign>) -> Answered {
        let Some(numbers) = self.open.remove(asker) else { return Answered::Nothing };
        let mut era = None;
        let mut made = None;
        for number in numbers {
            let index = usize::try_from(number - self.first).unwrap_or(usize::MAX);
            let Some(one) = self.queue.get_mut(index) else { continue };
            one.settled = true;
            one.event.foreign = one.event.foreign.take().or_else(|| verdict.cloned());
            let result = response.get("result");
            match Action::from_method(&one.event.method) {
                Action::Initialize => {
                    era = result.and_then(|r| r.get("protocolVersion")).and_then(Value::as_str).map(str::to_owned);
                    if let (Some(era), Field::NotRecorded) = (&era, &one.event.era) {
                        one.event.era = Field::Present(era.clone());
                    }
                }
                Action::ToolsCall => {
                    let task = result.and_then(|r| r.get("taskId").or(r.get("task")?.get("taskId")));
                    made = task.and_then(Value::as_str).map(|id| (id.to_owned(), one.event.name.clone()));
                }
                _ => {}
            }
        }
        if let Some(era) = era.filter(|_| self.eras.len() < MAX_KNOWN) {
            self.eras.insert(asker.scope.clone(), era);
        }
        if let Some((id, tool)) = made.filter(|_| self.tasks.len() < MAX_KNOWN) {
            self.tasks.insert((asker.scope.clone(), id), tool);
        }
        Answered::Request
    }

    /// Notes a request of a server: the answer with its id is no answer to a client.
    pub(super) fn server_asks(&mut self, asker: Asker) {
        if self.servers.len() < MAX_KNOWN {
            self.servers.insert(asker);
        }
    }

    /// Whether a server asked that, and this is the answer.
    pub(super) fn was_asked_by_server(&mut self, asker: &Asker) -> bool {
        self.servers.remove(asker)
    }

    /// When the conversation of an event began, if the log tells conversations apart.
    pub(super) fn begin(&mut self, scope: &str, event: &Event) -> Timestamp {
        if let Some(begin) = self.begins.get(scope) {
            return *begin;
        }
        if event.session.present().is_some() && self.begins.len() < MAX_KNOWN {
            self.begins.insert(scope.to_owned(), event.time);
        }
        event.time
    }

    /// The tool that made a task.
    pub(super) fn tool_of(&self, scope: &str, task: &str) -> Option<String> {
        self.tasks.get(&(scope.to_owned(), task.to_owned())).cloned()
    }

    /// Gives an event its revision: what the log says, the request itself, or the handshake before.
    pub(super) fn set_era(&self, scope: &str, event: &mut Event, own: Option<&str>) {
        if matches!(event.era, Field::NotRecorded) {
            let agreed = || self.eras.get(scope).cloned();
            event.era = own.map(str::to_owned).or_else(agreed).map_or(Field::NotRecorded, Field::Present);
        }
    }
}
