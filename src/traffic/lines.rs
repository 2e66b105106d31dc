//! The lines of recordings, read strictly and borrowed from their text.
//!
//! There is one way to read a line, and the owned [`Event`] is made from it. What lines repeat is
//! read once and numbered, within bounds; nothing that a line says depends on the lines before it.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::event::{ALL_WITHHELD, Event, Identity, TokenFacts};
use super::gap::Gap;
use super::incoming::{self, Bad, EventIn, Own, Shared, SubjectIn, TokenLists, Verdicts};
use super::keep::{Keep, Wants};
use super::last::{Held, Last};
use super::observed::{Glance, Numbers, Observed};
use super::pointer::{Optional, Statuses};
use super::reader::{Unreadable, UnreadableCode};
use super::scan::scan;
use super::table::Table;
use crate::model::{
    Action, Arguments, Claim, Context, Fact, Request, Resource, ResourceKind, Strings, Subject, Timestamp, Token,
};

/// After how many different texts the tables begin anew.
const MAX_TEXTS: usize = 1 << 16;
/// After how many bytes of them.
const MAX_BYTES: usize = 16 << 20;

/// Reads lines.
pub struct Lines<'w> {
    wants: &'w dyn Wants,
    /// The life of the numbers: another one when they begin anew.
    space: Arc<()>,
    items: Table<Item, 4>,
    subjects: Table<SubjectIn, 1>,
    lists: Table<Statuses, 4>,
    tokens: Table<TokenLists, 2>,
    verdicts: Table<Verdicts, 2>,
    last: Last,
}

#[derive(Debug)]
struct Item {
    action: Action,
    kind: ResourceKind,
    keep: Keep,
    /// Where the arguments of the last such call are, if they stay.
    last: Option<u32>,
}

impl std::fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

/// One event, borrowed from its line.
#[derive(Debug)]
pub struct Line<'a> {
    own: Own<'a>,
    shown: Shown<'a>,
}

/// One event but for what is its own.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    common: Common<'a>,
    arguments: Option<Cow<'a, Map<String, Value>>>,
    numbers: Numbers<'a>,
}

/// What of an event stands in the tables.
#[derive(Clone, Copy, Debug)]
struct Common<'a> {
    lists: &'a Statuses,
    subject: &'a SubjectIn,
    token: &'a TokenLists,
    verdicts: &'a Verdicts,
    item: &'a Item,
}

/// What an event is made of besides what is its own: the numbers of what stands in the tables, and the
/// arguments as far as they are kept.
#[derive(Debug)]
pub(super) struct Parts {
    numbers: [u32; 5],
    arguments: Held,
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
            last: Last::default(),
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
        self.bound();
        let (own, parts) = match scan(text) {
            Ok((own, shared)) => match self.parts(&own, &shared) {
                Ok(parts) => (own, parts),
                Err(_) => self.parsed(text, number, ended)?,
            },
            Err(_) => self.parsed(text, number, ended)?,
        };
        match self.shown(parts) {
            Ok(shown) => Ok(Line { own, shown }),
            Err(message) => Err(Unreadable::new(number, UnreadableCode::NotAnEvent, message)),
        }
    }

    /// Reads any line. Says what is wrong with one that the format does not allow.
    fn parsed<'a>(&mut self, text: &'a str, number: u64, ended: bool) -> Result<(Own<'a>, Parts), Unreadable> {
        let line: EventIn<'a> = serde_json::from_str(text).map_err(|error| {
            if let Some(gap) = Gap::read(text) {
                return Unreadable::left_out(number, gap);
            }
            // A number can be told to be cut only where the text ends with its beginning.
            let cut = error.is_eof() || text.ends_with(['-', '+', '.', 'e', 'E']);
            Unreadable::json(number, &error, !ended && cut)
        })?;
        let (own, shared) = line.split();
        let parts = self.parts(&own, &shared).map_err(|bad| match bad {
            Bad::Json(error, part) => Unreadable::json_part(number, &error, text, part),
            Bad::Rule(message) => Unreadable::new(number, UnreadableCode::NotAnEvent, message),
        })?;
        Ok((own, parts))
    }

    fn parts<'a>(&mut self, own: &Own<'a>, shared: &Shared<'a>) -> Result<Parts, Bad<'a>> {
        let numbers = [
            self.lists(shared.lists)?,
            self.subject(shared.subject)?,
            self.token(shared.token)?,
            self.verdicts(shared.verdicts)?,
            self.item(own)?,
        ];
        self.hold(own.present(), own.arguments, numbers)
    }

    pub(super) fn lists<'a>(&mut self, lists: [Option<&'a str>; 4]) -> Result<u32, Bad<'a>> {
        self.lists.number(lists.map(bytes), || incoming::statuses(lists))
    }

    pub(super) fn subject<'a>(&mut self, subject: Option<&'a str>) -> Result<u32, Bad<'a>> {
        self.subjects.number([bytes(subject)], || incoming::subject(subject))
    }

    pub(super) fn token<'a>(&mut self, token: [Option<&'a str>; 2]) -> Result<u32, Bad<'a>> {
        self.tokens.number(token.map(bytes), || incoming::token_lists(token))
    }

    pub(super) fn verdicts<'a>(&mut self, verdicts: [Option<&'a str>; 2]) -> Result<u32, Bad<'a>> {
        self.verdicts.number(verdicts.map(bytes), || incoming::verdicts(verdicts))
    }

    pub(super) fn item<'a>(&mut self, own: &Own<'_>) -> Result<u32, Bad<'a>> {
        let shape = [own.kind.map_or(0, |kind| 1 + kind as u8), u8::from(own.name.is_some())];
        let pieces = [&shape[..], own.door.as_bytes(), own.method.as_bytes(), bytes(own.name.as_deref())];
        Ok(self.items.number(pieces, || item(own, self.wants, &mut self.last))?)
    }

    /// Holds the parts of an event against each other: which of its own fields are there, its arguments, and the
    /// numbers of the methods above, since [`Lines::bound`] was last called, in the order of [`Numbers::new`].
    pub(super) fn hold<'a>(&mut self, present: u32, own: Option<&'a str>, numbers: [u32; 5]) -> Result<Parts, Bad<'a>> {
        let Common { lists, subject, token, .. } = self.common(numbers)?;
        lists.contradict(present | subject.present() | token.present())?;
        if own.is_none() && !lists.withheld.is_empty() {
            let message = "parts of arguments are listed as withheld and there are no arguments";
            return Err(Bad::Rule(message.to_owned()));
        }
        let [.., item] = numbers;
        let arguments = match own.zip(self.items.get(item)) {
            None => Held::Nowhere,
            Some((text, item)) => {
                self.last.read(text, &item.keep, item.last).map_err(|error| Bad::Json(error, text))?
            }
        };
        Ok(Parts { numbers, arguments })
    }

    /// What parts come to, since [`Lines::bound`] was last called.
    pub(super) fn shown(&self, parts: Parts) -> Result<Shown<'_>, String> {
        let Parts { numbers, arguments } = parts;
        let (common, numbers) = (self.common(numbers)?, Numbers::new(&self.space, numbers));
        Ok(Shown { common, arguments: self.last.get(arguments), numbers })
    }

    fn common(&self, numbers: [u32; 5]) -> Result<Common<'_>, String> {
        let [lists, subject, token, verdicts, item] = numbers;
        let common = || {
            Some(Common {
                lists: self.lists.get(lists)?,
                subject: self.subjects.get(subject)?,
                token: self.tokens.get(token)?,
                verdicts: self.verdicts.get(verdicts)?,
                item: self.items.get(item)?,
            })
        };
        // Always there: each number was given just now.
        common().ok_or_else(|| "the line cannot be held".to_owned())
    }

    /// The life of the numbers.
    #[cfg(feature = "parquet")]
    pub(super) fn space(&self) -> &Arc<()> {
        &self.space
    }

    /// Begins anew when the tables are full.
    pub(super) fn bound(&mut self) {
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
            self.last = Last::default();
        }
    }
}

/// What of an event is not in its numbers, before its lists say why something is missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brief<'a> {
    pub(super) time: Timestamp,
    pub(super) iat: Option<Timestamp>,
    pub(super) exp: Option<Timestamp>,
    pub(super) nbf: Option<Timestamp>,
    pub(super) session: Option<&'a str>,
}

impl<'a> Brief<'a> {
    /// The event for whoever has met one of the same numbers.
    pub(super) fn glance<'s>(&self, shown: &'s Shown<'_>) -> Glance<'s>
    where
        'a: 's,
    {
        let lists = shown.common.lists;
        let token = Token {
            issued_at: lists.fact(Optional::Iat, self.iat),
            expires_at: lists.fact(Optional::Exp, self.exp),
            not_before: lists.fact(Optional::Nbf, self.nbf),
            ..Token::default()
        };
        let arguments = match lists.fact(Optional::Arguments, shown.arguments.as_deref()) {
            Fact::Known(object) => Arguments { object: Some(object), withheld: &lists.withheld },
            Fact::Absent => Arguments::NONE,
            Fact::Unknown => Arguments { object: None, withheld: &ALL_WITHHELD },
        };
        let context = Context { now: self.time, token, arguments };
        Glance { numbers: shown.numbers, context, session: lists.fact(Optional::Session, self.session) }
    }
}

impl Shown<'_> {
    /// The same, borrowed.
    #[cfg(feature = "parquet")]
    pub(super) fn again(&self) -> Shown<'_> {
        Shown { common: self.common, arguments: self.arguments.as_deref().map(Cow::Borrowed), numbers: self.numbers }
    }
}

/// No value that is there is an empty text, but for a name, of which is known whether it is there.
fn bytes(value: Option<&str>) -> &[u8] {
    value.unwrap_or("").as_bytes()
}

fn item(own: &Own<'_>, wants: &dyn Wants, last: &mut Last) -> Result<Item, String> {
    let method = &*own.method;
    let action = Action::from_method(method);
    let kind = kind_of(action, method, own.kind)?;
    let name = match (kind, &own.name) {
        (ResourceKind::Server, None) => "",
        (ResourceKind::Server, Some(name)) if action != Action::Unknown => {
            return Err(format!("`{method}` reaches the server itself, which has no name such as `{name}`"));
        }
        (_, Some(name)) => name,
        (_, None) => return Err(format!("`{method}` reaches something with a name, and there is none")),
    };
    let keep = wants.wants(&Resource { door: &own.door, kind, name });
    let last = last.number(&keep);
    Ok(Item { action, kind, keep, last })
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

#[cfg(feature = "parquet")]
impl<'a> Line<'a> {
    pub(super) const fn new(own: Own<'a>, shown: Shown<'a>) -> Self {
        Self { own, shown }
    }
}

impl Line<'_> {
    /// The claims as a request takes them. Empty, and without an allocation, when there are none.
    pub fn claims(&self) -> Vec<Claim<'_>> {
        self.shown.common.subject.claims.as_ref().map_or_else(Vec::new, |claims| {
            claims.iter().map(|(name, values)| Claim { name, values: values.into() }).collect()
        })
    }

    /// What of an event is not in its numbers.
    fn brief(&self) -> Brief<'_> {
        let Own { time, iat, exp, nbf, ref session, .. } = self.own;
        Brief { time, iat, exp, nbf, session: session.as_deref() }
    }

    /// The event for whoever has met one of the same numbers.
    pub fn glance(&self) -> Glance<'_> {
        self.brief().glance(&self.shown)
    }

    /// The event as a rehearsal sees it. `claims` is what [`Line::claims`] gives.
    pub fn observe<'s>(&'s self, claims: &'s [Claim<'s>]) -> Observed<'s> {
        let Self { own, shown } = self;
        let Glance { numbers, context, session } = self.glance();
        let Common { lists, subject, token, verdicts, item } = shown.common;
        let text = |field, value: Option<&'s str>| lists.fact(field, value);
        let list = |field, value: &'s Option<Vec<String>>| lists.fact(field, value.as_ref().map(Strings::from));
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
                resource: Resource { door: &own.door, kind: item.kind, name: own.name.as_deref().unwrap_or("") },
                context: Context {
                    token: Token {
                        audience: list(Optional::Aud, &token.aud),
                        scopes: list(Optional::Scopes, &token.scopes),
                        ..context.token
                    },
                    ..context
                },
            },
            id: text(Optional::Id, own.id.as_deref()),
            session,
            decided: verdicts.decided.as_ref(),
            foreign: verdicts.foreign.as_ref(),
            numbers: Some(numbers),
        }
    }

    /// The event on its own, with the arguments that were kept.
    pub fn into_event(self) -> Event {
        let Self { own, shown: Shown { common, arguments, .. } } = self;
        let Common { lists, subject, token, verdicts, item } = common;
        let text = |field, value: Option<Cow<'_, str>>| lists.join(field, value.map(Cow::into_owned));
        Event {
            time: own.time,
            id: text(Optional::Id, own.id),
            door: own.door.into_owned(),
            era: text(Optional::Era, own.era),
            method: own.method.into_owned(),
            kind: item.kind,
            name: own.name.map_or_else(String::new, Cow::into_owned),
            arguments: lists.join(Optional::Arguments, arguments.map(Cow::into_owned)),
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
                iat: lists.join(Optional::Iat, own.iat),
                exp: lists.join(Optional::Exp, own.exp),
                nbf: lists.join(Optional::Nbf, own.nbf),
            },
            session: text(Optional::Session, own.session),
            decided: verdicts.decided.clone(),
            foreign: verdicts.foreign.clone(),
            withheld: lists.withheld.clone(),
        }
    }
}
