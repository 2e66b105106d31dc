//! What each kind of message needs before it may pass.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use serde_json::Value;

use super::answer;
use super::asked::{Asked, Lie};
use super::body::Body;
use super::caller::{Ask, Caller};
use super::code::{Code, GuardCode};
use super::edit::Object;
use super::filter;
use super::flow::Visit;
use super::head::Head;
use super::memory::{RequestKey, UnderWay};
use super::refusal::{REVISIONS, Refusal};
use super::trace::{Trace, TraceContext};
use crate::mcp::{Id, Message, Mismatch, Notification, Reach, Request, Routing};
use crate::model::{Action, Reason, ResourceKind};

/// Where a request of revision 2026-07-28 says what its client can do.
const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Where a message says where its sender stands in a trace.
const TRACE: &str = "traceparent";
/// Without a header that says otherwise (MCP 2025-06-18, transports). Its batches are not taken.
const ASSUMED: &str = "2025-03-26";

/// A request: it is decided, and its answer belongs to it.
pub(super) async fn request(mut visit: Visit, bytes: Bytes, request: Request) -> Result<Response<Body>, Refusal> {
    let stated = request.revision().or(visit.head.version.as_deref()).map(str::to_owned);
    let modern = visit.head.is_modern() || request.is_modern();
    // What the message says of itself counts before what its carrier says.
    let said = request.params.get("_meta").and_then(|meta| TraceContext::read(meta.get(TRACE)?.as_str()?));
    let trace = Trace::begin(visit.who.caller.guard.tracer(), said.or(visit.head.trace), Some(&request.id));
    let plan = match check(&visit, &request, modern) {
        Ok(()) => {
            // A revision without sessions does not know them, and a handshake has none yet.
            if modern || request.action() == Action::Initialize {
                visit.head.session = None;
            }
            plan(&visit.who.caller, &visit.head, &request, modern, bytes, trace.as_ref().and_then(Trace::own))
        }
        Err(refusal) => Err(refusal),
    };
    let id = request.id.clone();
    let answering = |refusal: Refusal| refusal.answering(Some(&id), modern);
    let with_head =
        |ask: Ask| Ask { era: stated.clone(), session: visit.head.session.clone(), trace: trace.clone(), ..ask };
    let Plan { ask, bytes, asked } = match plan {
        Ok(plan) => plan,
        Err(refusal) => {
            let ask = with_head(Ask { name: named(&request), ..Ask::server(&request.method, request.action()) });
            return Err(visit.who.refuse(&ask, answering(refusal)).await.answering(Some(&request.id), modern));
        }
    };
    let mut recorded = visit.clear(with_head(ask), &bytes).await.map_err(&answering)?;
    // An older client may come back for an answer on another stream, or cancel.
    let mut under_way = None;
    if !modern {
        let waiting = asked.waiting(request.params.contains_key("task"));
        let Ok(begun) = UnderWay::begin(&asked.caller.guard, asked.key(), waiting) else {
            recorded.watch.end(GuardCode::Overloaded.as_str());
            return Err(answering(GuardCode::Overloaded.into()));
        };
        under_way = Some(begun);
    }
    let forwarded = visit.forward(recorded, bytes, Some(Message::Request(request))).await;
    let (response, watch) = forwarded.map_err(answering)?;
    answer::request(&asked, under_way, response, watch).await.map_err(answering)
}

/// What a row names when nothing was decided.
fn named(request: &Request) -> String {
    request.reach.routed_name().unwrap_or_default().to_owned()
}

/// What the revision of a request asks of its head.
fn check(visit: &Visit, request: &Request, modern: bool) -> Result<(), Refusal> {
    let header = visit.head.version.as_deref();
    if let (Some(stated), Some(header)) = (request.revision(), header)
        && stated != header
    {
        // Before either of the two is one that is not spoken.
        return Err(Refusal::mismatch(Mismatch::VERSION));
    }
    let known = |revision: &str| REVISIONS.contains(&revision) || (revision == ASSUMED && !modern);
    if let Some(unknown) = [request.revision(), header].into_iter().flatten().find(|revision| !known(revision)) {
        return Err(Refusal::version(unknown));
    }
    let meta = request.params.get("_meta");
    if modern {
        let announced = meta.and_then(|meta| meta.get(CLIENT_CAPABILITIES)?.as_object());
        let (Some(_), Some(announced)) = (request.revision(), announced) else { return Err(GuardCode::Meta.into()) };
        let knows_tasks = announced.get("extensions").and_then(|all| all.get(filter::TASKS)).is_some();
        if matches!(request.reach, Reach::Task { .. }) && !knows_tasks {
            return Err(GuardCode::Capability.into());
        }
    }
    let values = |name: &str| -> Vec<&[u8]> {
        visit.parts.headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect()
    };
    let (version, method, name) = (values("mcp-protocol-version"), values("mcp-method"), values("mcp-name"));
    let routing = Routing { version: &version, method: &method, name: &name };
    routing.agrees(request).map_err(Refusal::mismatch)?;
    if !modern && request.action() != Action::Initialize {
        visit.check_session()?;
    }
    Ok(())
}

/// What is asked, what goes on and what may be answered.
struct Plan {
    ask: Ask,
    bytes: Bytes,
    asked: Arc<Asked>,
}

fn plan(
    caller: &Arc<Caller>,
    head: &Head,
    request: &Request,
    modern: bool,
    bytes: Bytes,
    trace: Option<&TraceContext>,
) -> Result<Plan, Refusal> {
    let action = request.action();
    let mut ask = Ask::server(&request.method, action);
    match &request.reach {
        Reach::Server | Reach::Listen(_) => {}
        Reach::Thing { kind, name } => {
            (ask.kind, ask.name) = (*kind, name.clone());
            ask.arguments = request.arguments().cloned().map(Arc::new);
        }
        Reach::Task { id } => {
            let key = (Arc::clone(caller.door.place()), id.clone());
            let task = caller.guard.0.memory.tasks.get(&key, &caller.principal, caller.now);
            let task = task.ok_or(GuardCode::TaskUnknown)?;
            (ask.kind, ask.name, ask.arguments) =
                (ResourceKind::Tool, task.tool, task.arguments.and_then(|kept| kept.read()));
        }
        Reach::Unknown => return Err(Refusal::new(Code::Policy(Reason::UnknownMethod))),
    }
    let asked = Arc::new(Asked {
        caller: Arc::clone(caller),
        id: request.id.clone(),
        method: request.method.clone(),
        action,
        kind: ask.kind,
        name: ask.name.clone(),
        arguments: ask.arguments.clone(),
        modern,
        session: head.session.clone(),
        progress: request.params.get("_meta").and_then(|meta| meta.get("progressToken")).cloned(),
    });
    let bytes = match edited(&asked, request, &bytes, trace)? {
        Some(text) => Bytes::from(text),
        None => bytes,
    };
    Ok(Plan { ask, bytes, asked })
}

/// The request without what must not go on, and below the span of the guard where there is one; `None` when
/// the very bytes may go on.
fn edited(
    asked: &Asked,
    request: &Request,
    bytes: &Bytes,
    trace: Option<&TraceContext>,
) -> Result<Option<String>, Refusal> {
    let has = |key: &str| request.params.contains_key(key);
    let may_change = trace.is_some()
        || matches!(asked.action, Action::SubscriptionsListen | Action::Initialize)
        || has("requestState")
        || request.params.get("_meta").and_then(|meta| meta.get(CLIENT_CAPABILITIES)).is_some_and(announces);
    if !may_change {
        return Ok(None);
    }
    let unread = |_| Refusal::from(GuardCode::Internal);
    let caller = &*asked.caller;
    let text = std::str::from_utf8(bytes).map_err(|_| GuardCode::Internal)?;
    let mut message = Object::read(text).map_err(unread)?;
    let Some(params) = message.get("params").map(str::to_owned) else { return Ok(None) };
    let mut params = Object::read(&params).map_err(unread)?;
    let mut changed = false;
    if asked.action == Action::SubscriptionsListen
        && let Some(less) = filter::listen(caller, &request.params, &params.write()).map_err(lied)?
    {
        let less = Object::read(&less).map_err(unread)?.get("notifications").unwrap_or("{}").to_owned();
        params.set("notifications", less);
        changed = true;
    }
    if asked.action == Action::Initialize
        && let Some(announced) = params.get("capabilities")
        && let Some(less) = filter::client_capabilities(caller, announced).map_err(|_| bad_params("`capabilities`"))?
    {
        params.set("capabilities", less);
        changed = true;
    }
    // What is no object is nothing that a place in a trace can be put into.
    if let Some(meta) = params.get("_meta").or(trace.map(|_| "{}")).filter(|meta| meta.starts_with('{')) {
        let mut meta = Object::read(meta).map_err(|_| bad_params("`_meta`"))?;
        let mut edited = false;
        if let Some(announced) = meta.get(CLIENT_CAPABILITIES)
            && let Some(less) =
                filter::client_capabilities(caller, announced).map_err(|_| bad_params("`clientCapabilities`"))?
        {
            meta.set(CLIENT_CAPABILITIES, less);
            edited = true;
        }
        if let Some(trace) = trace {
            meta.set(TRACE, Value::from(trace.to_string()).to_string());
            edited = true;
        }
        if edited {
            let meta = meta.write();
            params.set("_meta", meta);
            changed = true;
        }
    }
    if matches!(asked.action, Action::ToolsCall | Action::PromptsGet | Action::ResourcesRead)
        && params.get("requestState").is_some()
    {
        let sealed = params.text("requestState").ok_or(GuardCode::StateInvalid)?;
        let state = caller.guard.0.state.open(&sealed, asked.bound(), caller.now).ok_or(GuardCode::StateInvalid)?;
        params.set("requestState", Value::from(state).to_string());
        changed = true;
    }
    Ok(changed.then(|| {
        message.set("params", params.write());
        message.write()
    }))
}

/// Whether a client announces anything that may have to go.
fn announces(capabilities: &Value) -> bool {
    capabilities.as_object().is_none_or(|announced| !announced.is_empty())
}

fn lied(_: Lie) -> Refusal {
    bad_params("`notifications`")
}

fn bad_params(what: &str) -> Refusal {
    let refusal = Refusal::new(Code::Message(crate::mcp::MalformedCode::Params));
    Refusal { message: format!("{what} cannot be read"), ..refusal }
}

/// A notification: it is one that a client may send, about something of its own.
pub(super) async fn notification(
    visit: Visit,
    bytes: Bytes,
    notification: Notification,
) -> Result<Response<Body>, Refusal> {
    let (caller, session) = (Arc::clone(&visit.who.caller), visit.head.session.clone());
    let modern = visit.head.is_modern();
    let ask = Ask {
        era: visit.head.version.clone(),
        session: session.clone(),
        trace: Trace::begin(caller.guard.tracer(), visit.head.trace, None),
        ..Ask::server(&notification.method, Action::Ping)
    };
    let key = |id| RequestKey {
        door: Arc::clone(caller.door.place()),
        principal: caller.principal.clone(),
        session: session.clone(),
        id,
    };
    let id_of = |name: &str| match notification.params.get(name) {
        Some(Value::String(text)) => Some(Id::Text(text.clone())),
        Some(number) => number.as_i64().map(Id::Number),
        None => None,
    };
    let memory = &caller.guard.0.memory;
    let own = match notification.method.as_str() {
        "notifications/initialized" | "notifications/roots/list_changed" | "notifications/tasks/status" => Ok(true),
        "notifications/cancelled" => Ok(id_of("requestId")
            .is_some_and(|id| memory.under_way.get(&key(id), &caller.principal, caller.now).is_some())),
        "notifications/progress" => Ok(id_of("progressToken")
            .is_some_and(|token| memory.progress.get(&key(token), &caller.principal, caller.now).is_some())),
        _ => Err(Refusal::new(Code::Policy(Reason::UnknownMethod))),
    };
    let own =
        own.and_then(|own| if modern { Ok(own) } else { visit.check_session().map(|()| own).map_err(Into::into) });
    let own = own.and_then(|own| match visit.head.version.as_deref() {
        Some(version) if !REVISIONS.contains(&version) && version != ASSUMED => Err(Refusal::version(version)),
        _ => Ok(own),
    });
    match own {
        Err(refusal) => Err(visit.who.refuse(&ask, refusal.answering(None, modern)).await),
        // It is about nothing that is under way any more, or about another's: it has no effect.
        Ok(false) => Ok(answer::nothing()),
        Ok(true) => {
            let recorded = visit.clear(ask, &bytes).await?;
            let (response, watch) = visit.forward(recorded, bytes, Some(Message::Notification(notification))).await?;
            answer::accepted(&caller, &response, watch, session.as_deref())
        }
    }
}

/// A response: something of this caller's is waiting for it.
pub(super) async fn response(
    visit: Visit,
    bytes: Bytes,
    response: crate::mcp::Response,
) -> Result<Response<Body>, Refusal> {
    let caller = Arc::clone(&visit.who.caller);
    let session = visit.head.session.clone();
    let mut ask = Ask {
        era: visit.head.version.clone(),
        session: session.clone(),
        trace: visit.head.trace.map(Trace::passed_on),
        ..Ask::server("response", Action::Ping)
    };
    let key = RequestKey {
        door: Arc::clone(caller.door.place()),
        principal: caller.principal.clone(),
        session: session.clone(),
        id: response.id.clone(),
    };
    let asked = if visit.head.is_modern() {
        Err(GuardCode::ResponseUnexpected)
    } else {
        visit.check_session().and_then(|()| {
            let waiting = &caller.guard.0.memory.server_requests;
            waiting.take(&key, &caller.principal, caller.now).ok_or(GuardCode::ResponseUnexpected)
        })
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(code) => return Err(visit.who.refuse(&ask, code.into()).await),
    };
    ask.name = asked.method;
    let recorded = visit.clear(ask, &bytes).await?;
    let (answered, watch) = visit.forward(recorded, bytes, Some(Message::Response(response))).await?;
    answer::accepted(&caller, &answered, watch, session.as_deref())
}
