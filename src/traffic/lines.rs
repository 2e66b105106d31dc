//! The lines of recordings, read strictly and borrowed from their text.
//!
//! There is one way to read a line, and the owned [`Event`] is made from it. What lines repeat is
//! read once and numbered, within bounds; nothing that a line says depends on the lines before it.

use std::sync::Arc;

use serde::de::DeserializeSeed as _;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::event::{ALL_WITHHELD, Event, Identity, TokenFacts};
use super::incoming::{self, Bad, EventIn, SubjectIn, Verdicts};
use super::keep::{Keep, Kept, Wants};
use super::observed::{Numbers, Observed};
use super::pointer::{Optional, Statuses};
use super::reader::{Unreadable, UnreadableCode};
use super::table::Table;
use crate::model::{Action, Arguments, Claim, Context, Fact, Request, Resource, ResourceKind, Strings, Subject, Token};

/// After how many different texts the tables begin anew.
const MAX_TEXTS: usize = 1 << 16;
/// After how many bytes of them.
const MAX_BYTES: usize = 16 << 20;

/// Reads lines.
pub struct Lines<'w> {
    wants: &'w dyn Wants,
    /// The life of the numbers: another one when they begin anew.
    space: Arc<()>,
    items: Table<Item>,
    subjects: Table<SubjectIn>,
    lists: Table<Statuses>,
    tokens: Table<TokenLists>,
    verdicts: Table<Verdicts>,
    key: Vec<u8>,
}

#[derive(Debug)]
struct Item {
    action: Action,
    kind: ResourceKind,
    keep: Keep,
}

#[derive(Debug)]
struct TokenLists {
    aud: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
}

impl std::fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

/// One event, borrowed from its line.
#[derive(Debug)]
pub struct Line<'a> {
    read: EventIn<'a>,
    item: &'a Item,
    subject: &'a SubjectIn,
    lists: &'a Statuses,
    token: &'a TokenLists,
    verdicts: &'a Verdicts,
    arguments: Option<Map<String, Value>>,
    numbers: Numbers<'a>,
}

impl<'w> Lines<'w> {
    /// A reader of lines that keeps of arguments what `wants` says.
    pub fn new(wants: &'w dyn Wants) -> Self {
        Self {
            wants,
            space: Arc::new(()),
            items: Table::default(),
            subjects: Table::default(),
            lists: Table::default(),
            tokens: Table::default(),
            verdicts: Table::default(),
            key: Vec::new(),
        }
    }

    /// Reads one line. `ended` says that a newline stood behind it.
    ///
    /// # Errors
    ///
    /// When the format does not allow it.
    pub fn read<'a>(&'a mut self, bytes: &'a [u8], number: u64, ended: bool) -> Result<Line<'a>, Unreadable> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            // A cut in the middle of a character is a cut, not another encoding.
            let code = if ended { UnreadableCode::NotUtf8 } else { UnreadableCode::TruncatedLine };
            return Err(Unreadable::new(number, code, "the line is not UTF-8 text"));
        };
        if text.trim_ascii_start().as_bytes().first() != Some(&b'{') {
            return Err(Unreadable::new(number, UnreadableCode::NotJson, "the line is not a JSON object"));
        }
        let line = serde_json::from_str(text).map_err(|error| {
            // A number can be told to be cut only where the text ends with its beginning.
            let cut = error.is_eof() || text.ends_with(['-', '+', '.', 'e', 'E']);
            Unreadable::json(number, &error, !ended && cut)
        })?;
        self.resolve(line).map_err(|bad| match bad {
            Bad::Json(error, part) => Unreadable::json_part(number, &error, text, part.get()),
            Bad::Rule(message) => Unreadable::new(number, UnreadableCode::NotAnEvent, message),
        })
    }

    fn resolve<'a>(&'a mut self, line: EventIn<'a>) -> Result<Line<'a>, Bad<'a>> {
        self.bound();
        let key = &mut self.key;
        write(key, line.lists());
        let lists = self.lists.number(key, || incoming::statuses(line.lists()))?;
        let text = line.subject.map_or("", RawValue::get);
        let subject = self.subjects.number(text.as_bytes(), || incoming::subject(line.subject))?;
        let (aud, scopes) = (line.token.aud, line.token.scopes);
        write(key, [aud, scopes]);
        let token = self.tokens.number(key, || {
            Ok::<_, Bad<'a>>(TokenLists { aud: incoming::strings(aud)?, scopes: incoming::strings(scopes)? })
        })?;
        let (decided, foreign) = (line.decided, line.foreign);
        write(key, [decided, foreign]);
        let verdicts = self.verdicts.number(key, || incoming::verdicts(decided, foreign))?;
        write_item(key, &line);
        let item = self.items.number(key, || item(&line, self.wants))?;

        let numbers = [lists, subject, token, verdicts, item];
        let found = (
            self.lists.get(lists),
            self.subjects.get(subject),
            self.tokens.get(token),
            self.verdicts.get(verdicts),
            self.items.get(item),
        );
        let (Some(lists), Some(subject), Some(token), Some(verdicts), Some(item)) = found else {
            // Not reachable: each number was given just now.
            return Err(Bad::Rule("the line cannot be held".to_owned()));
        };
        lists.contradict(line.present() | subject.present())?;
        let arguments = line.arguments.map(|raw| arguments(raw, &item.keep)).transpose()?;
        if arguments.is_none() && !lists.withheld.is_empty() {
            let message = "parts of arguments are listed as withheld and there are no arguments";
            return Err(Bad::Rule(message.to_owned()));
        }
        let numbers = Numbers::new(&self.space, numbers);
        Ok(Line { read: line, item, subject, lists, token, verdicts, arguments, numbers })
    }

    /// Begins anew when the tables are full.
    fn bound(&mut self) {
        let sizes =
            [self.items.size(), self.subjects.size(), self.lists.size(), self.tokens.size(), self.verdicts.size()];
        let (texts, bytes) = sizes.into_iter().fold((0, 0), |(n, b), (texts, bytes)| (n + texts, b + bytes));
        if texts >= MAX_TEXTS || bytes >= MAX_BYTES {
            self.space = Arc::new(());
            self.items.clear();
            self.subjects.clear();
            self.lists.clear();
            self.tokens.clear();
            self.verdicts.clear();
        }
    }
}

/// Values as one text, each behind its length, so that different values never give the same text.
fn write<const N: usize>(key: &mut Vec<u8>, values: [Option<&RawValue>; N]) {
    key.clear();
    for value in values {
        let text = value.map_or("", RawValue::get);
        key.extend_from_slice(&(text.len() as u64).to_le_bytes());
        key.extend_from_slice(text.as_bytes());
    }
}

fn write_item(key: &mut Vec<u8>, line: &EventIn<'_>) {
    key.clear();
    key.push(line.kind.map_or(0, |kind| 1 + kind as u8));
    key.push(u8::from(line.name.is_some()));
    let name = line.name.as_ref().map_or("", |name| &*name.0);
    for text in [&*line.door.0, &*line.method.0, name] {
        key.extend_from_slice(&(text.len() as u64).to_le_bytes());
        key.extend_from_slice(text.as_bytes());
    }
}

fn item(line: &EventIn<'_>, wants: &dyn Wants) -> Result<Item, String> {
    let method = &*line.method.0;
    let action = Action::from_method(method);
    let kind = kind_of(action, method, line.kind)?;
    let name = match (kind, &line.name) {
        (ResourceKind::Server, None) => "",
        (ResourceKind::Server, Some(name)) if action != Action::Unknown => {
            return Err(format!("`{method}` reaches the server itself, which has no name such as `{}`", name.0));
        }
        (_, Some(name)) => &name.0,
        (_, None) => return Err(format!("`{method}` reaches something with a name, and there is none")),
    };
    let keep = wants.wants(&Resource { door: &line.door.0, kind, name });
    Ok(Item { action, kind, keep })
}

/// The kind is written only where the method leaves a choice.
fn kind_of(action: Action, method: &str, written: Option<ResourceKind>) -> Result<ResourceKind, String> {
    match (action.reaches(), written) {
        ([], written) => Ok(written.unwrap_or(ResourceKind::Server)),
        ([only], None) => Ok(*only),
        (kinds, Some(kind)) if kinds.contains(&kind) => Ok(kind),
        (_, Some(_)) => Err(format!("`{method}` does not reach a thing of that `kind`")),
        (_, None) => Err(format!("`{method}` may reach several kinds of thing: say which in `kind`")),
    }
}

fn arguments<'a>(raw: &'a RawValue, keep: &Keep) -> Result<Map<String, Value>, Bad<'a>> {
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    Kept(keep).deserialize(&mut deserializer).map_err(|error| Bad::Json(error, raw))
}

impl Line<'_> {
    /// The claims as a request takes them. Empty, and without an allocation, when there are none.
    pub fn claims(&self) -> Vec<Claim<'_>> {
        self.subject.claims.as_ref().map_or_else(Vec::new, |claims| {
            claims.iter().map(|(name, values)| Claim { name, values: values.into() }).collect()
        })
    }

    /// The event as a rehearsal sees it. `claims` is what [`Line::claims`] gives.
    pub fn observe<'s>(&'s self, claims: &'s [Claim<'s>]) -> Observed<'s> {
        let Self { read: line, item, subject, lists, token, verdicts, arguments, numbers } = self;
        let text = |field, value: Option<&'s str>| lists.fact(field, value);
        let list = |field, value: &'s Option<Vec<String>>| lists.fact(field, value.as_ref().map(Strings::from));
        let own = |value: &'s Option<incoming::Text<'_>>| value.as_ref().map(|text| &*text.0);
        Observed {
            request: Request {
                subject: Subject {
                    issuer: text(Optional::Issuer, subject.issuer.as_deref()),
                    id: text(Optional::Sub, subject.sub.as_deref()),
                    agent: text(Optional::Agent, subject.agent.as_deref()),
                    groups: list(Optional::Groups, &subject.groups),
                    claims: lists.fact(Optional::Claims, subject.claims.as_ref().map(|_| claims)),
                },
                action: item.action,
                resource: Resource { door: &line.door.0, kind: item.kind, name: own(&line.name).unwrap_or("") },
                context: Context {
                    now: line.time,
                    token: Token {
                        audience: list(Optional::Aud, &token.aud),
                        scopes: list(Optional::Scopes, &token.scopes),
                        issued_at: lists.fact(Optional::Iat, line.token.iat),
                        expires_at: lists.fact(Optional::Exp, line.token.exp),
                        not_before: lists.fact(Optional::Nbf, line.token.nbf),
                    },
                    arguments: match lists.fact(Optional::Arguments, arguments.as_ref()) {
                        Fact::Known(object) => Arguments { object: Some(object), withheld: &lists.withheld },
                        Fact::Absent => Arguments::NONE,
                        Fact::Unknown => Arguments { object: None, withheld: &ALL_WITHHELD },
                    },
                },
            },
            id: text(Optional::Id, own(&line.id)),
            session: text(Optional::Session, own(&line.session)),
            decided: verdicts.decided.as_ref(),
            foreign: verdicts.foreign.as_ref(),
            numbers: Some(*numbers),
        }
    }

    /// The event on its own, with the arguments that were kept.
    pub fn into_event(self) -> Event {
        let Self { read: line, item, subject, lists, token, verdicts, arguments, .. } = self;
        let text = |field, value: Option<incoming::Text<'_>>| lists.join(field, value.map(|text| text.0.into_owned()));
        Event {
            time: line.time,
            id: text(Optional::Id, line.id),
            door: line.door.0.into_owned(),
            era: text(Optional::Era, line.era),
            method: line.method.0.into_owned(),
            kind: item.kind,
            name: line.name.map_or_else(String::new, |name| name.0.into_owned()),
            arguments: lists.join(Optional::Arguments, arguments),
            subject: Identity {
                issuer: lists.join(Optional::Issuer, subject.issuer.clone()),
                sub: lists.join(Optional::Sub, subject.sub.clone()),
                agent: lists.join(Optional::Agent, subject.agent.clone()),
                groups: lists.join(Optional::Groups, subject.groups.clone()),
                claims: lists.join(Optional::Claims, subject.claims.clone()),
            },
            token: TokenFacts {
                aud: lists.join(Optional::Aud, token.aud.clone()),
                scopes: lists.join(Optional::Scopes, token.scopes.clone()),
                iat: lists.join(Optional::Iat, line.token.iat),
                exp: lists.join(Optional::Exp, line.token.exp),
                nbf: lists.join(Optional::Nbf, line.token.nbf),
            },
            session: text(Optional::Session, line.session),
            decided: verdicts.decided.clone(),
            foreign: verdicts.foreign.clone(),
            withheld: lists.withheld.clone(),
        }
    }
}
