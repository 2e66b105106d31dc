//! A stream of events on its way to a caller, judged event by event as it comes.
//!
//! Nothing waits for more than the event that it is part of. An event that must not pass loses its
//! data; a server that lies ends the stream with an error. Whoever listens for long is asked about
//! anew at each event and every few seconds, under the policy and at the time of that moment; and every
//! stream is when another policy comes into force.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use serde_json::{Map, Value};

use super::asked::{Asked, Lie};
use super::body::{Body, BoxError};
use super::caller::Caller;
use super::code::GuardCode;
use super::filter;
use super::memory::{RequestKey, ServerRequest, UnderWay};
use super::refusal::Refusal;
use super::sse::{Block, Cutter};
use super::upstream::UpstreamError;
use super::vigil::Vigil;
use super::watch::Watch;
use super::wire;
use crate::mcp::{Id, json};

/// How a stream ends that gave no answer; an older client may come back for it.
const UNANSWERED: &str = "unanswered";

/// Whom a stream is for.
pub(super) enum Listener {
    /// The caller of one request, until it is answered, and its remembrance where others may answer it.
    Request(Arc<Asked>, Option<UnderWay>),
    /// The holder of a session (`GET`, the revisions before 2026-07-28).
    Session(Arc<Caller>, Option<String>),
}

/// What becomes of an event.
enum Passes {
    Whole,
    Instead(String),
    Not,
    /// It is the answer: nothing comes after it.
    Last(Option<String>),
    /// Whoever listens may no longer.
    End,
}

/// The stream as the caller gets it.
pub(super) struct Policed {
    inner: Body,
    cutter: Cutter,
    listener: Listener,
    out: VecDeque<Bytes>,
    watch: Watch,
    vigil: Vigil,
    answered: bool,
    done: bool,
}

impl Policed {
    pub(super) fn new(inner: Body, listener: Listener, watch: Watch) -> Self {
        let most = listener.caller().guard.limits().answer.bytes;
        let cutter = Cutter::new(most);
        let vigil = Vigil::new(listener.caller(), listener.lasts());
        Self { inner, cutter, listener, out: VecDeque::new(), watch, vigil, answered: false, done: false }
    }

    /// Judges what has come. `at_end` says that nothing more comes.
    fn judge(&mut self, at_end: bool) {
        while !self.done {
            match self.cutter.next(at_end) {
                Ok(None) => return,
                Err(_) => return self.fail(GuardCode::UpstreamInvalid),
                Ok(Some(block)) => self.block(&block),
            }
        }
    }

    fn block(&mut self, block: &Block) {
        if block.has_id() {
            self.listener.may_return();
        }
        let Some(data) = block.data().filter(|data| !data.is_empty()) else {
            return self.out.push_back(block.0.clone());
        };
        match self.listener.event(&data, &mut self.watch) {
            Ok(Passes::Whole) => self.out.push_back(block.0.clone()),
            Ok(Passes::Instead(text)) => self.out.push_back(block.with_data(&text)),
            Ok(Passes::Not) => self.out.extend(block.without_data()),
            Ok(Passes::Last(instead)) => {
                self.listener.answered();
                let bytes = instead.map_or_else(|| block.0.clone(), |text| block.with_data(&text));
                self.out.push_back(bytes);
                self.answered = true;
                self.watch.end("answered");
                self.done = true;
            }
            Ok(Passes::End) => self.fail(GuardCode::NoLongerAllowed),
            Err(Lie) => self.fail(GuardCode::UpstreamInvalid),
        }
    }

    /// Ends the stream with an error that the caller understands.
    fn fail(&mut self, code: GuardCode) {
        if let Listener::Request(asked, _) = &self.listener {
            let refusal = Refusal::new(code).answering(Some(&asked.id), asked.modern);
            self.out.push_back(Bytes::from(format!("data: {}\n\n", wire::error(&refusal))));
        }
        self.listener.answered();
        self.watch.end(code.as_str());
        self.done = true;
    }
}

impl http_body::Body for Policed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.out.pop_front() {
                this.watch.bytes += bytes.len() as u64;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if this.done {
                return Poll::Ready(None);
            }
            if this.vigil.poll(cx).is_ready() && !this.listener.may_go_on() {
                this.fail(GuardCode::NoLongerAllowed);
                continue;
            }
            match Pin::new(&mut this.inner).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        this.cutter.push(&bytes);
                        this.judge(false);
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    this.judge(true);
                    if !this.done {
                        tracing::warn!(%error, "a stream of an upstream broke off");
                        this.fail(UpstreamError::of(&error));
                    }
                }
                Poll::Ready(None) => {
                    this.judge(true);
                    if !this.done {
                        let closes = matches!(this.listener, Listener::Session(..));
                        this.watch.end(if closes { "answered" } else { UNANSWERED });
                        this.done = true;
                    }
                }
            }
        }
    }
}

impl Listener {
    /// Whoever listens has heard the id of an event, and may come back with it.
    fn may_return(&mut self) {
        if let Self::Request(_, Some(under_way)) = self {
            under_way.stays();
        }
    }

    /// Nothing more may be said to the request.
    fn answered(&mut self) {
        if let Self::Request(_, under_way) = self
            && let Some(under_way) = under_way.take()
        {
            under_way.answered();
        }
    }

    fn caller(&self) -> &Arc<Caller> {
        match self {
            Self::Request(asked, _) => &asked.caller,
            Self::Session(caller, _) => caller,
        }
    }

    fn session(&self) -> Option<&String> {
        match self {
            Self::Request(asked, _) => asked.session.as_ref(),
            Self::Session(_, session) => session.as_ref(),
        }
    }

    fn lasts(&self) -> bool {
        match self {
            Self::Request(asked, _) => asked.lasts(),
            Self::Session(..) => true,
        }
    }

    fn may_go_on(&self) -> bool {
        match self {
            Self::Request(asked, _) => asked.may_go_on(),
            Self::Session(caller, _) => caller.may_stay(),
        }
    }

    fn is_modern(&self) -> bool {
        match self {
            Self::Request(asked, _) => asked.modern,
            Self::Session(..) => false,
        }
    }

    fn event(&self, data: &[u8], watch: &mut Watch) -> Result<Passes, Lie> {
        let caller = self.caller();
        if self.lasts() && !caller.may_stay() {
            return Ok(Passes::End);
        }
        let limits = caller.guard.limits().answer;
        if !is_call(data) {
            return self.response(data, watch);
        }
        let Ok(Value::Object(message)) = json::read(data, limits.depth) else { return Err(Lie) };
        if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(Lie);
        }
        let method = message.get("method").and_then(Value::as_str).ok_or(Lie)?;
        let none = Map::new();
        let params = message.get("params").and_then(Value::as_object).unwrap_or(&none);
        match message.get("id") {
            None => Ok(self.notification(method, params)),
            Some(_) if self.is_modern() => Err(Lie),
            Some(_) if !filter::client_answers(caller, method, params) => Ok(Passes::Not),
            Some(id) => {
                let (memory, owner, now) = (&caller.guard.0.memory, &caller.principal, caller.guard.now());
                if let Some(token) = params.get("_meta").and_then(|meta| meta.get("progressToken")) {
                    memory.progress.put(self.key(id_of(token)?), owner, (), now).map_err(|_| Lie)?;
                }
                let asked = ServerRequest { method: method.to_owned() };
                memory.server_requests.put(self.key(id_of(id)?), owner, asked, now).map_err(|_| Lie)?;
                Ok(Passes::Whole)
            }
        }
    }

    fn key(&self, id: Id) -> RequestKey {
        let caller = self.caller();
        RequestKey {
            door: Arc::clone(caller.door.place()),
            principal: caller.principal.clone(),
            session: self.session().cloned(),
            id,
        }
    }

    fn notification(&self, method: &str, params: &Map<String, Value>) -> Passes {
        let caller = self.caller();
        let text = |key: &str| params.get(key).and_then(Value::as_str);
        let passes = match method {
            "notifications/progress" => match self {
                Self::Request(asked, _) => {
                    asked.progress.is_some() && params.get("progressToken") == asked.progress.as_ref()
                }
                Self::Session(..) => true,
            },
            "notifications/resources/updated" => text("uri").is_some_and(|uri| filter::may_hear_of(caller, uri)),
            "notifications/tasks" | "notifications/tasks/status" => {
                text("taskId").is_some_and(|id| filter::may_see_task(caller, id))
            }
            "notifications/cancelled"
            | "notifications/message"
            | "notifications/subscriptions/acknowledged"
            | "notifications/elicitation/complete" => true,
            // A list that holds something for the caller; what a policy cannot judge is none.
            list => filter::list_of(list).is_some_and(|kind| caller.has_any(kind)),
        };
        if passes { Passes::Whole } else { Passes::Not }
    }

    fn response(&self, data: &[u8], watch: &mut Watch) -> Result<Passes, Lie> {
        match self {
            Self::Request(asked, _) => {
                let said = asked.response(data)?;
                watch.error = said.error;
                Ok(Passes::Last(said.instead))
            }
            // The answer to a request whose own stream broke off (revisions before 2026-07-28).
            Self::Session(caller, _) => {
                let text = std::str::from_utf8(data).map_err(|_| Lie)?;
                let id = super::edit::Object::read(text)?.get("id").ok_or(Lie)?.to_owned();
                let id = id_of(&serde_json::from_str(&id).map_err(|_| Lie)?)?;
                let (memory, key) = (&caller.guard.0.memory.under_way, self.key(id));
                let Some(waiting) = memory.take(&key, &caller.principal, caller.guard.now()) else {
                    return Ok(Passes::Not);
                };
                let said = Asked::of(waiting, key, caller).response(data)?;
                Ok(said.instead.map_or(Passes::Whole, Passes::Instead))
            }
        }
    }
}

fn id_of(value: &Value) -> Result<Id, Lie> {
    match value {
        Value::String(text) => Ok(Id::Text(text.clone())),
        number => number.as_i64().map(Id::Number).ok_or(Lie),
    }
}

/// Whether a message has a method. What cannot be read is no call, and no response either.
fn is_call(data: &[u8]) -> bool {
    let text = std::str::from_utf8(data).ok();
    text.and_then(|text| super::edit::Object::read(text).ok()).is_some_and(|message| message.get("method").is_some())
}
