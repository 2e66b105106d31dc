//! One JSON-RPC 2.0 message (MCP `basic/index`), strictly.
//!
//! A message has the members that JSON-RPC gives it and no others, and says in exactly one way
//! whether it is a request, a notification or a response.

use serde_json::{Map, Value};

use super::json;
use super::malformed::{Malformed, MalformedCode};
use super::numbers;
use super::reach::Reach;
use crate::model::Action;

/// The first revision without handshakes, in which each request states its revision.
pub(super) const MODERN: &str = "2026-07-28";
/// The longest id that is taken, in bytes.
const MAX_ID: usize = 256;

/// What a body may at most be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the body.
    pub bytes: usize,
    /// Levels of nesting. No more than 127 are ever read.
    pub depth: usize,
}

impl Default for Limits {
    /// 4 MiB and 64 levels.
    fn default() -> Self {
        Self { bytes: 4 << 20, depth: 64 }
    }
}

/// The id of a request: a string or an integer, never null.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// A string of at most 256 bytes.
    Text(String),
    /// An integer.
    Number(i64),
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// It wants an answer.
    Request(Request),
    /// It does not.
    Notification(Notification),
    /// It is one.
    Response(Response),
}

/// A request with what it reaches.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its id.
    pub id: Id,
    /// The method as written.
    pub method: String,
    /// Its parameters; empty when there are none.
    pub params: Map<String, Value>,
    /// What it reaches.
    pub reach: Reach,
}

/// A message that wants no answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The method as written.
    pub method: String,
    /// Its parameters; empty when there are none.
    pub params: Map<String, Value>,
}

/// The answer to a request that a server made.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The id it answers.
    pub id: Id,
    /// The result, or the error.
    pub outcome: Result<Value, Map<String, Value>>,
}

impl Request {
    /// The method as an action.
    pub fn action(&self) -> Action {
        Action::from_method(&self.method)
    }

    /// The revision that the request itself states (MCP 2026-07-28, `_meta`).
    pub fn revision(&self) -> Option<&str> {
        revision(&self.params)
    }

    /// Whether it states revision 2026-07-28 or a later one.
    pub fn is_modern(&self) -> bool {
        self.revision().is_some_and(|revision| revision >= MODERN)
    }

    /// The `arguments` of a tool or prompt.
    pub fn arguments(&self) -> Option<&Map<String, Value>> {
        self.params.get("arguments")?.as_object()
    }
}

pub(super) fn revision(params: &Map<String, Value>) -> Option<&str> {
    params.get("_meta")?.get("io.modelcontextprotocol/protocolVersion")?.as_str()
}

/// Reads one body.
///
/// # Errors
///
/// Whatever two parsers might read differently, and whatever is not one JSON-RPC message.
pub fn parse(body: &[u8], limits: Limits) -> Result<Message, Malformed> {
    if body.len() > limits.bytes {
        let message = format!("more than {} bytes", limits.bytes);
        return Err(Malformed::new(MalformedCode::TooLarge, message));
    }
    let value = json::read(body, limits.depth)?;
    if !numbers::are_exact(body) {
        let message = "a number with more digits than a double holds";
        return Err(Malformed::new(MalformedCode::InexactNumber, message));
    }
    match value {
        Value::Object(members) => message(members),
        Value::Array(_) => Err(Malformed::new(MalformedCode::Batch, "a batch: send one message at a time")),
        _ => Err(not_rpc("not an object")),
    }
}

fn message(mut members: Map<String, Value>) -> Result<Message, Malformed> {
    let id = match members.remove("id") {
        None => None,
        Some(id) => Some(read_id(id)?),
    };
    let read = body(members, id.as_ref());
    read.map_err(|malformed| match &id {
        Some(id) => malformed.of(id),
        None => malformed,
    })
}

fn body(mut members: Map<String, Value>, id: Option<&Id>) -> Result<Message, Malformed> {
    if members.remove("jsonrpc").as_ref().and_then(Value::as_str) != Some("2.0") {
        return Err(not_rpc("`jsonrpc` is not \"2.0\""));
    }
    let (method, params) = (members.remove("method"), members.remove("params"));
    let (result, error) = (members.remove("result"), members.remove("error"));
    if let Some(key) = members.keys().next() {
        let shown: String = key.chars().take(64).collect();
        return Err(not_rpc(format!("`{shown}` is no member of a JSON-RPC message")));
    }
    match (method, id, result, error) {
        (Some(Value::String(method)), id, None, None) => call(method, params, id.cloned()),
        (Some(_), _, None, None) => Err(not_rpc("`method` is not a string")),
        (Some(_), ..) => Err(not_rpc("a `method` beside a `result` or `error`")),
        (None, Some(id), Some(result), None) if params.is_none() => {
            Ok(Message::Response(Response { id: id.clone(), outcome: Ok(result) }))
        }
        (None, Some(id), None, Some(Value::Object(error))) if params.is_none() => {
            Ok(Message::Response(Response { id: id.clone(), outcome: Err(error) }))
        }
        _ => Err(not_rpc("neither a request, nor a notification, nor a response")),
    }
}

fn call(method: String, params: Option<Value>, id: Option<Id>) -> Result<Message, Malformed> {
    let params = match params {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(Malformed::new(MalformedCode::Params, "`params` is not an object")),
    };
    let Some(id) = id else {
        // A method that asks for something must not pass for a notification of nothing.
        return if Action::from_method(&method) == Action::Unknown {
            Ok(Message::Notification(Notification { method, params }))
        } else {
            Err(not_rpc("a request without an `id`"))
        };
    };
    let reach = Reach::of(&method, &params)?;
    Ok(Message::Request(Request { id, method, params, reach }))
}

fn read_id(value: Value) -> Result<Id, Malformed> {
    match value {
        Value::String(text) if text.len() <= MAX_ID => Ok(Id::Text(text)),
        Value::String(_) => Err(not_rpc(format!("`id` is longer than {MAX_ID} bytes"))),
        Value::Number(number) => number.as_i64().map(Id::Number).ok_or_else(|| not_rpc("`id` is not an integer")),
        _ => Err(not_rpc("`id` is neither a string nor an integer")),
    }
}

fn not_rpc(message: impl Into<String>) -> Malformed {
    Malformed::new(MalformedCode::NotRpc, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Message, String> {
        parse(text.as_bytes(), Limits::default()).map_err(|e| e.to_string())
    }

    #[test]
    fn requests_notifications_and_responses_are_told_apart() {
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"q":"x"}}}"#;
        let Ok(Message::Request(request)) = read(call) else { panic!("{:?}", read(call)) };
        assert_eq!((request.id.clone(), request.action()), (Id::Number(1), Action::ToolsCall));
        assert_eq!(request.arguments().unwrap().get("q"), Some(&Value::from("x")));
        let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert!(matches!(read(note), Ok(Message::Notification(_))));
        for answer in [r#"{"jsonrpc":"2.0","id":"a","result":{}}"#, r#"{"jsonrpc":"2.0","id":"a","error":{"code":1}}"#]
        {
            assert!(matches!(read(answer), Ok(Message::Response(r)) if r.id == Id::Text("a".into())));
        }
    }

    #[test]
    fn the_revision_is_the_one_that_the_request_states() {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        assert!(matches!(read(text), Ok(Message::Request(r)) if r.revision() == Some("2026-07-28")));
    }

    #[test]
    fn whatever_is_not_one_message_is_refused_with_its_reason() {
        let bad = [
            "[]",
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            "null",
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"search"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
        ];
        let said: Vec<String> = bad.iter().map(|text| read(text).unwrap_err()).collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        a batch: send one message at a time (message-batch)
        a batch: send one message at a time (message-batch)
        not an object (message-not-rpc)
        `jsonrpc` is not "2.0" (message-not-rpc)
        `id` is neither a string nor an integer (message-not-rpc)
        `id` is not an integer (message-not-rpc)
        `id` is neither a string nor an integer (message-not-rpc)
        `method` is not a string (message-not-rpc)
        `params` is not an object (message-params)
        `Params` is no member of a JSON-RPC message (message-not-rpc)
        a `method` beside a `result` or `error` (message-not-rpc)
        neither a request, nor a notification, nor a response (message-not-rpc)
        neither a request, nor a notification, nor a response (message-not-rpc)
        neither a request, nor a notification, nor a response (message-not-rpc)
        a request without an `id` (message-not-rpc)
        ambiguous key `id` (message-ambiguous-key)
        "#);
    }

    #[test]
    fn an_error_names_the_id_to_answer_to() {
        let text = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{}}"#;
        let error = parse(text.as_bytes(), Limits::default()).unwrap_err();
        assert_eq!((error.code, error.id), (MalformedCode::Params, Some(Id::Number(7))));
    }

    #[test]
    fn a_body_over_the_limit_is_not_even_read() {
        let limits = Limits { bytes: 10, depth: 4 };
        assert_eq!(parse(&[b'['; 11], limits).unwrap_err().code, MalformedCode::TooLarge);
    }
}
