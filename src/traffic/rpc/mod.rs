//! Transcripts of JSON-RPC messages between MCP clients and servers.
//!
//! Every request of a client is an event. It is held back, within bounds, until its answer is read,
//! because the answer may say that it was refused. Answers, notifications and what servers ask are
//! counted and are no events. Order is kept.

mod asked;
mod held;

use serde_json::{Map, Value};

use super::event::Event;
use super::fieldmap::{self, Made, Message, Record, Rule, scalar};
use super::log::{Log, NOTIFICATION};
use super::reader::{Place, UnreadableCode};
use super::strict::StrictValue;
use asked::{asked, era, is_of_servers};
pub(super) use held::Held;
use held::{Answered, Asker};

/// The rules under which messages are counted that are no requests of a client.
const RESPONSE: &str = "response";
const LATE: &str = "response without its request";
const OF_SERVER: &str = "request of a server";
const OF_CLIENT: &str = "answer of a client";

/// One record of a transcript: the line that holds it, as far as its messages need it.
struct Logged<'v> {
    place: Place,
    record: &'v Value,
    rule: &'v Rule,
    /// Whether a client sent it; `None` when the log does not say.
    client: Option<bool>,
}

impl Log<'_> {
    /// Reads a record that holds a message, or a batch of them.
    pub(super) fn messages(&mut self, place: Place, record: &Value, rule: &Rule, at: &Message) {
        let whole = Record::Exchange { record, message: None, response: None };
        let Some((_, found)) = whole.first(&at.at) else {
            let places: Vec<&str> = at.at.iter().map(fieldmap::Pointer::as_str).collect();
            return self.wrong(place, UnreadableCode::NotARecord, format!("no message at {}", places.join(" or ")));
        };
        let parsed;
        let message = match found {
            Value::String(text) => match serde_json::from_str::<StrictValue>(text) {
                Ok(StrictValue(value)) => {
                    parsed = value;
                    &parsed
                }
                Err(error) => {
                    let message = format!("the message is not JSON: {error}");
                    return self.wrong(place, UnreadableCode::NotARecord, message);
                }
            },
            value => value,
        };
        let direction = whole.first(&at.direction).and_then(|(_, value)| scalar(value));
        let client = direction.map(|word| at.requests.iter().any(|glob| glob.matches(&word)));
        let logged = Logged { place, record, rule, client };
        let Value::Array(batch) = message else { return self.message(&logged, message, at) };
        for (number, message) in (1..).zip(batch) {
            let place = if place.call.is_none() { Place { call: Some(number), ..place } } else { place };
            self.message(&Logged { place, ..logged }, message, at);
        }
    }

    fn message(&mut self, logged: &Logged<'_>, message: &Value, at: &Message) {
        let Value::Object(fields) = message else {
            return self.wrong(logged.place, UnreadableCode::NotARecord, "the message is not a JSON object");
        };
        let id = fields.get("id").filter(|id| !id.is_null());
        match (fields.get("method"), id) {
            (Some(Value::String(method)), _) if method.starts_with("notifications/") => self.leave_out(NOTIFICATION),
            (Some(Value::String(_)), None) => self.leave_out(NOTIFICATION),
            (Some(Value::String(method)), Some(id)) => {
                let asker = self.asker(logged, id);
                let of_server = logged.client.map_or_else(|| is_of_servers(method), |client| !client);
                if of_server {
                    if logged.client.is_none() {
                        self.held.server_asks(asker);
                    }
                    return self.leave_out(OF_SERVER);
                }
                self.request(logged, (message, method, fields.get("params")), &asker, at);
            }
            (None, Some(id)) if fields.contains_key("result") || fields.contains_key("error") => {
                let asker = self.asker(logged, id);
                let of_client = logged.client.unwrap_or_else(|| self.held.was_asked_by_server(&asker));
                if of_client {
                    return self.leave_out(OF_CLIENT);
                }
                let record = Record::Exchange { record: logged.record, message: None, response: Some(message) };
                let verdict = fieldmap::verdict(&self.map.name, &self.map.decisions, record);
                let rule = match self.held.answer(&asker, message, verdict.as_ref()) {
                    Answered::Request => RESPONSE,
                    Answered::Nothing => LATE,
                };
                self.leave_out(rule);
                self.emit(false);
            }
            // An error that answers no request in particular.
            (None, None) if fields.contains_key("error") => self.leave_out(LATE),
            _ => self.wrong(logged.place, UnreadableCode::NotARecord, "the record is no JSON-RPC message"),
        }
    }

    fn leave_out(&mut self, rule: &str) {
        self.counts.records += 1;
        self.counts.ignore(rule);
    }

    /// Whose request, or the answer to whose request, a message is.
    fn asker(&self, logged: &Logged<'_>, id: &Value) -> Asker {
        let record = Record::Exchange { record: logged.record, message: None, response: None };
        let scope = fieldmap::scope(self.map, logged.rule, record);
        Asker { scope, id: id.to_string() }
    }

    fn request(
        &mut self,
        logged: &Logged<'_>,
        (message, method, params): (&Value, &str, Option<&Value>),
        asker: &Asker,
        at: &Message,
    ) {
        let empty = Map::new();
        let params = match params {
            None | Some(Value::Null) => &empty,
            Some(Value::Object(params)) => params,
            Some(_) => return self.wrong(logged.place, UnreadableCode::NotACall, "the params are not an object"),
        };
        let all = match asked(method, params, &|task| self.held.tool_of(&asker.scope, task)) {
            Ok(all) => all,
            Err(message) => return self.wrong(logged.place, UnreadableCode::NotACall, message),
        };
        let whole = Record::Exchange { record: logged.record, message: Some(message), response: None };
        let parsed;
        let response = match whole.first(&at.response).map(|(_, found)| found) {
            Some(Value::String(text)) => {
                parsed = answer_in(text, message.get("id").unwrap_or(&Value::Null));
                parsed.as_ref()
            }
            found => found.filter(|found| found.get("result").is_some() || found.get("error").is_some()),
        };
        let record = Record::Exchange { record: logged.record, message: Some(message), response };
        for asked in all {
            let number = self.counts.events + self.held.len();
            let held = &mut self.held;
            let mut begin = |event: &Event| held.begin(&asker.scope, event);
            match fieldmap::event(self.map, logged.rule, record, Some(asked), self.mapping, number, &mut begin) {
                Made::Event(mut event, known) => {
                    self.held.set_era(&asker.scope, &mut event, era(params));
                    self.held.push(logged.place, event, known, asker.clone());
                }
                made => self.made(logged.place, made),
            }
        }
        if let Some(response) = response {
            let verdict = fieldmap::verdict(&self.map.name, &self.map.decisions, record);
            self.held.answer(asker, response, verdict.as_ref());
        }
        self.emit(false);
    }

    /// Hands on what is held and settled; at the end of the log all.
    pub(super) fn emit(&mut self, all: bool) {
        while let Some((place, event, known)) = self.held.next(all) {
            self.made(place, Made::Event(event, known));
        }
    }
}

/// The answer to a request in a body: JSON, or events of a stream (SSE) of which one holds it.
fn answer_in(body: &str, id: &Value) -> Option<Value> {
    let is_answer = |value: &Value| {
        let of = value.get("id").is_none_or(|of| of.is_null() || of == id);
        of && (value.get("result").is_some() || value.get("error").is_some())
    };
    let read = |text: &str| serde_json::from_str::<StrictValue>(text).ok().map(|value| value.0);
    if let Some(value) = read(body) {
        return Some(value).filter(is_answer);
    }
    body.lines().filter_map(|line| read(line.strip_prefix("data:")?)).find(is_answer)
}
