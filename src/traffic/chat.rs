//! Chat transcripts with tool calls, in the shape of `OpenAI`'s chat messages.
//!
//! The file is one transcript (an object with `messages`), an array of transcripts, an array of
//! messages, or any of these one after another, as in JSON lines. Which calls are MCP calls, who
//! made them and when comes from a [`Mapping`]. Memory stays within one transcript. What an agent
//! was told or answered is not kept; only what it asked a tool for is.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, ErrorKind};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::event::{Event, Field};
use super::imported::Imported;
use super::mapping::{CallShape, Mapping, Surroundings};
use super::reader::{Numbered, Place, Unreadable, UnreadableCode};
use super::strict::{StrictObject, entries};
use crate::model::{Action, Timestamp};

/// Reads a file of transcripts and hands each event, or what cannot be read, to `sink`.
pub fn read(
    mut input: impl BufRead,
    mapping: &Mapping,
    sink: &mut dyn FnMut(Result<Numbered, Unreadable>),
) -> Imported {
    let mut import = Import { mapping, sink, counts: Imported::default() };
    loop {
        match skip_space(&mut input) {
            Ok(true) => {}
            Ok(false) => return import.counts,
            Err(error) => {
                import.unreadable(None, UnreadableCode::ReadFailed, error.to_string());
                return import.counts;
            }
        }
        // A fresh deserializer for each document: it stops right behind the closing bracket.
        let mut deserializer = serde_json::Deserializer::from_reader(&mut input);
        if let Err(error) = Document(&mut import).deserialize(&mut deserializer) {
            let problem = Unreadable::json(import.counts.documents + 1, &error, true);
            let message =
                format!("{}, line {} of the document; nothing behind it is read", problem.message, error.line());
            let code = match problem.code {
                UnreadableCode::NotAnEvent => UnreadableCode::NotATranscript,
                code => code,
            };
            import.unreadable(None, code, message);
            return import.counts;
        }
    }
}

/// Whether anything but white space is left.
fn skip_space(input: &mut impl BufRead) -> std::io::Result<bool> {
    loop {
        let chunk = match input.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let Some(space) = chunk.iter().position(|b| !b.is_ascii_whitespace()) else {
            let used = chunk.len();
            if used == 0 {
                return Ok(false);
            }
            input.consume(used);
            continue;
        };
        input.consume(space);
        return Ok(true);
    }
}

struct Import<'a> {
    mapping: &'a Mapping,
    sink: &'a mut dyn FnMut(Result<Numbered, Unreadable>),
    counts: Imported,
}

/// One JSON value of the file, handed to the import element by element.
struct Document<'i, 'a>(&'i mut Import<'a>);

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a transcript or an array of them")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.transcript(&entries(map, super::strict::MAX_DEPTH)?);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut messages = Vec::new();
        while let Some(StrictObject(element)) = list.next_element()? {
            if element.contains_key("role") && !element.contains_key("messages") {
                messages.push(Value::Object(element));
            } else {
                self.0.transcript(&element);
            }
        }
        if !messages.is_empty() {
            self.0.transcript(&[("messages".to_owned(), Value::Array(messages))].into_iter().collect());
        }
        Ok(())
    }
}

impl Import<'_> {
    fn unreadable(&mut self, call: Option<u64>, code: UnreadableCode, message: impl Into<String>) {
        self.counts.unreadable += 1;
        let record = if call.is_some() {
            self.counts.documents
        } else {
            self.counts.records += 1;
            self.counts.documents + 1
        };
        let mut unreadable = Unreadable { place: Place { record, call }, code, message: message.into(), gap: None };
        unreadable.redact();
        (self.sink)(Err(unreadable));
    }

    fn transcript(&mut self, transcript: &Map<String, Value>) {
        let Some(Value::Array(messages)) = transcript.get("messages") else {
            self.unreadable(None, UnreadableCode::NotATranscript, "there is no list of `messages`");
            self.counts.documents += 1;
            return;
        };
        let number = self.counts.documents;
        self.counts.documents += 1;
        let fields: BTreeMap<String, String> =
            transcript.iter().filter_map(|(name, value)| Some((name.clone(), scalar(value)?))).collect();
        let named = self.mapping.session.as_ref().and_then(|field| fields.get(field));
        let session = named.cloned().unwrap_or_else(|| format!("transcript-{}", number + 1));
        let begin = self.mapping.clock.session(number);
        let around = Surroundings { begin, session: Some(&session), fields: &fields };
        let (mut seen, mut made) = (0, 0);
        for message in messages {
            let calls = match message.get("tool_calls") {
                None | Some(Value::Null) => continue,
                Some(Value::Array(calls)) => calls,
                Some(_) => {
                    seen += 1;
                    self.counts.records += 1;
                    self.unreadable(Some(seen), UnreadableCode::NotACall, "`tool_calls` is not a list");
                    continue;
                }
            };
            for call in calls {
                seen += 1;
                self.counts.records += 1;
                match self.call(call, around, self.mapping.clock.call(number, made)) {
                    Ok(Some(event)) => {
                        made += 1;
                        self.counts.events += 1;
                        let place = Place { record: number + 1, call: Some(seen) };
                        (self.sink)(Ok(Numbered { place, event }));
                    }
                    Ok(None) => {}
                    Err(message) => self.unreadable(Some(seen), UnreadableCode::NotACall, message),
                }
            }
        }
    }

    /// The event of one function call; `None` when it is not an MCP call.
    fn call(&mut self, call: &Value, around: Surroundings<'_>, time: Timestamp) -> Result<Option<Event>, String> {
        let function = call.get("function").ok_or("the call has no `function`")?;
        let name = function.get("name").and_then(Value::as_str).ok_or("the function has no `name`")?;
        let Some(rule) = self.mapping.calls.iter().find(|rule| rule.function.matches(name)) else {
            self.counts.unmapped(name);
            return Ok(None);
        };
        let renamed = |server: &str, tool: &str| (self.mapping.door(server), tool.to_owned());
        let ((door, tool), arguments) = match &rule.shape {
            CallShape::Ignore => {
                self.counts.ignore(rule.function.as_str());
                return Ok(None);
            }
            CallShape::Door(door) => ((door.clone(), name.to_owned()), object(function.get("arguments"))?),
            CallShape::Named { prefix, separator } => {
                let (server, tool) = name
                    .strip_prefix(prefix.as_str())
                    .and_then(|rest| rest.split_once(separator.as_str()))
                    .ok_or_else(|| format!("`{name}` is not `{prefix}SERVER{separator}TOOL`"))?;
                (renamed(server, tool), object(function.get("arguments"))?)
            }
            CallShape::Wrapper { server, tool, arguments } => {
                let mut outer = object(function.get("arguments"))?.unwrap_or_default();
                let text = |key: &str| {
                    let value = outer.get(key).and_then(Value::as_str);
                    value.ok_or_else(|| format!("the arguments of `{name}` have no text `{key}`"))
                };
                let names = renamed(text(server)?, text(tool)?);
                let inner = outer.remove(arguments.as_str());
                (names, object(inner.as_ref())?)
            }
        };
        let tool = self.mapping.tool(&door, &tool);
        let mut event = Event::new(time, door, Action::ToolsCall, tool);
        event.arguments = arguments.map_or(Field::Absent, Field::Present);
        event.session = around.session.map_or(Field::NotRecorded, |name| Field::Present(name.to_owned()));
        let known = self.mapping.identify(&mut event, around);
        event.redact()?;
        self.counts.unidentified += u64::from(!known);
        Ok(Some(event))
    }
}

/// The text of a scalar that rules can match; long texts are what was said, not metadata.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.len() <= 1024 => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        _ => None,
    }
}

/// Arguments as an object, or as the text of one; nothing when there are none.
fn object(arguments: Option<&Value>) -> Result<Option<Map<String, Value>>, String> {
    match arguments {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map.clone())),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => match serde_json::from_str::<StrictObject>(text) {
            Ok(StrictObject(map)) => Ok(Some(map)),
            Err(error) => Err(format!("the arguments cannot be read: {}", Unreadable::json(0, &error, false).message)),
        },
        Some(_) => Err("the arguments are not an object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::Sources;
    use crate::traffic::{line, mapping};

    const MAPPING: &str = r#"
        version = 1
        session = "id"
        time = { start = 2026-03-02T08:00:00Z, session = "1h", call = "5s" }
        doors = { "My Files" = "files" }
        tools = { "files:write" = "write_file" }
        [[calls]]
        function = "mcp__*"
        prefix = "mcp__"
        split = "__"
        [[calls]]
        function = "run"
        server = "server"
        tool = "tool"
        arguments = "params"
        [[calls]]
        function = "bash"
        door = "shell"
        [[calls]]
        function = "think"
        ignore = true
        [[identities]]
        when = { team = ["a*", "b"] }
        groups = "readers"
        [[identities]]
        when = { id = "*" }
        issuer = "corp"
        sub = "{team}-{id}"
        scopes = ["x y", "z"]
        age = "1m"
        lifetime = "10m"
        absent = ["claims"]
    "#;

    fn import(text: &str) -> (Vec<String>, Imported) {
        let mapping = mapping::load("m.toml", MAPPING.as_bytes(), &mut Sources::default()).unwrap();
        let mut out = Vec::new();
        let counts = read(text.as_bytes(), &mapping, &mut |item| {
            out.push(match item {
                Ok(Numbered { place, event }) => format!("{place}: {}", line(&event).unwrap()),
                Err(unreadable) => unreadable.to_string(),
            });
        });
        (out, counts)
    }

    fn calls(calls: &[(&str, &str)]) -> String {
        let calls: Vec<String> = calls
            .iter()
            .map(|(name, arguments)| format!(r#"{{"function":{{"name":"{name}","arguments":{arguments}}}}}"#))
            .collect();
        format!(r#"[{{"role":"user","content":"x"}},{{"role":"assistant","tool_calls":[{}]}}]"#, calls.join(","))
    }

    #[test]
    fn each_shape_of_call_names_server_tool_and_arguments() {
        let messages = calls(&[
            ("mcp__My Files__write", r#""{\"path\":\"/srv/a\"}""#),
            ("run", r#""{\"server\":\"files\",\"tool\":\"read\",\"params\":{\"path\":\"/b\"}}""#),
            ("run", r#"{"server":"files","tool":"list"}"#),
            ("think", r#""{}""#),
            ("guess", r#""{}""#),
            ("bash", r#""""#),
        ]);
        let (items, counts) = import(&format!(r#"{{"id":"s1","team":"alpha","messages":{messages}}}"#));
        insta::assert_snapshot!(items.join("\n"), @r#"
        1.1: {"time":1772438400,"door":"files","method":"tools/call","name":"write_file","arguments":{"path":"/srv/a"},"subject":{"issuer":"corp","sub":"alpha-s1","groups":["readers"]},"token":{"scopes":["x","y","z"],"iat":1772438340,"exp":1772438940},"session":"s1","absent":["/subject/claims","/token/nbf"]}
        1.2: {"time":1772438405,"door":"files","method":"tools/call","name":"read","arguments":{"path":"/b"},"subject":{"issuer":"corp","sub":"alpha-s1","groups":["readers"]},"token":{"scopes":["x","y","z"],"iat":1772438340,"exp":1772438940},"session":"s1","absent":["/subject/claims","/token/nbf"]}
        1.3: {"time":1772438410,"door":"files","method":"tools/call","name":"list","subject":{"issuer":"corp","sub":"alpha-s1","groups":["readers"]},"token":{"scopes":["x","y","z"],"iat":1772438340,"exp":1772438940},"session":"s1","absent":["/arguments","/subject/claims","/token/nbf"]}
        1.6: {"time":1772438415,"door":"shell","method":"tools/call","name":"bash","subject":{"issuer":"corp","sub":"alpha-s1","groups":["readers"]},"token":{"scopes":["x","y","z"],"iat":1772438340,"exp":1772438940},"session":"s1","absent":["/arguments","/subject/claims","/token/nbf"]}
        "#);
        insta::assert_debug_snapshot!(counts, @r#"
        Imported {
            documents: 1,
            records: 6,
            events: 4,
            ignored: {
                "think": 1,
            },
            unmapped: {
                "guess": 1,
            },
            unidentified: 0,
            unreadable: 0,
        }
        "#);
    }

    #[test]
    fn a_call_that_cannot_be_told_is_reported_with_its_place() {
        let messages = calls(&[
            ("mcp__files", r#""{}""#),
            ("run", r#""{\"server\":\"files\"}""#),
            ("run", r#""{\"server\":1,\"server\":2}""#),
            ("bash", r#""{""#),
            ("bash", "[1]"),
            ("bash", "null"),
        ]);
        let text = format!(
            r#"[{{"id":"s1","messages":{messages}}},{{"messages":7}},{{"messages":[{{"tool_calls":1}},{{"tool_calls":[{{}}]}}]}}]"#
        );
        insta::assert_snapshot!(import(&text).0.join("\n"), @r#"
        1.1: `mcp__files` is not `mcp__SERVER__TOOL` (not-a-call)
        1.2: the arguments of `run` have no text `tool` (not-a-call)
        1.3: the arguments cannot be read: duplicate key `server` (column 20) (not-a-call)
        1.4: the arguments cannot be read: EOF while parsing an object (column 1) (not-a-call)
        1.5: the arguments are not an object (not-a-call)
        1.6: {"time":1772438400,"door":"shell","method":"tools/call","name":"bash","subject":{"issuer":"corp"},"token":{"scopes":["x","y","z"],"iat":1772438340,"exp":1772438940},"session":"s1","absent":["/arguments","/subject/claims","/token/nbf"]}
        2: there is no list of `messages` (not-a-transcript)
        3.1: `tool_calls` is not a list (not-a-call)
        3.2: the call has no `function` (not-a-call)
        "#);
    }

    #[test]
    fn one_transcript_an_array_lines_and_bare_messages_are_read_alike() {
        let messages = calls(&[("bash", r#""{}""#)]);
        let transcript = format!(r#"{{"messages":{messages}}}"#);
        let one = import(&transcript);
        assert_eq!(import(&format!("[{transcript}]")), one);
        assert_eq!(import(&format!("\n{transcript}\n")), one);
        assert_eq!(import(&messages), one);
        let (items, counts) = import(&format!("{transcript}\n{transcript}\n"));
        assert_eq!((items.len(), counts.documents, counts.unidentified), (2, 2, 2));
    }

    #[test]
    fn a_document_that_ends_early_or_is_no_transcript_is_reported() {
        let messages = calls(&[("bash", r#""{}""#)]);
        let cut = format!(r#"[{{"messages":{messages}}},{{"messages":["#);
        insta::assert_snapshot!(import(&cut).0.last().unwrap(), @"2: EOF while parsing a list (column 141), line 1 of the document; nothing behind it is read (truncated-line)");
        insta::assert_snapshot!(import("7").0.join("\n"), @"1: invalid type: integer `7`, expected a transcript or an array of them (column 1), line 1 of the document; nothing behind it is read (not-a-transcript)");
        insta::assert_snapshot!(import(r#"{"messages":[],"messages":[]}"#).0.join("\n"), @"1: duplicate key `messages` (column 26), line 1 of the document; nothing behind it is read (duplicate-key)");
        assert_eq!(import("  \n"), (Vec::new(), Imported::default()));
    }
}
