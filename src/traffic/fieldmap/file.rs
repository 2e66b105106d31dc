//! The TOML of a field map. An unknown key is an error at its place, as in a policy.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::{
    Condition, Decision, FieldMap, FieldSource, Gone, Key, Marks, Message, Origin, Pointer, Reads, Rule, State, Test,
    Unit,
};
use crate::diagnostics::{Code, Diagnostic, Sources, did_you_mean};
use crate::model::Effect;
use crate::traffic::declared::{self, OneOrMany, Reading};

/// The most words, rules or places of one kind.
const MAX_LIST: usize = 1_000;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct MapIn {
    version: Spanned<i64>,
    name: Spanned<String>,
    #[serde(default)]
    reads: Reads,
    lists: Option<Spanned<OneOrMany>>,
    #[serde(default)]
    records: Vec<Spanned<RuleIn>>,
    #[serde(default)]
    fields: BTreeMap<Spanned<String>, Spanned<FieldIn>>,
    #[serde(default)]
    claims: BTreeMap<String, Spanned<FieldIn>>,
    #[serde(default)]
    marks: MarksIn,
    #[serde(default)]
    states: Vec<Spanned<StateIn>>,
    #[serde(default)]
    decisions: Vec<Spanned<DecisionIn>>,
    message: Option<Spanned<MessageIn>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleIn {
    rule: String,
    #[serde(default)]
    when: BTreeMap<Spanned<String>, Spanned<WhenIn>>,
    ignore: Option<bool>,
    #[serde(default)]
    fields: BTreeMap<Spanned<String>, Spanned<FieldIn>>,
    #[serde(default)]
    claims: BTreeMap<String, Spanned<FieldIn>>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum WhenIn {
    Present(bool),
    Matches(OneOrMany),
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct MarksIn {
    absent: Option<Spanned<OneOrMany>>,
    redacted: Option<Spanned<OneOrMany>>,
    truncated: Option<Spanned<OneOrMany>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct StateIn {
    field: Spanned<String>,
    is: Gone,
    when: BTreeMap<Spanned<String>, Spanned<WhenIn>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionIn {
    at: Spanned<OneOrMany>,
    #[serde(default)]
    when: BTreeMap<Spanned<String>, Spanned<WhenIn>>,
    allow: Option<Spanned<OneOrMany>>,
    deny: Option<Spanned<OneOrMany>>,
    present: Option<Effect>,
    missing: Option<Effect>,
    because: Option<Spanned<OneOrMany>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageIn {
    at: Spanned<OneOrMany>,
    response: Option<Spanned<OneOrMany>>,
    direction: Option<Spanned<OneOrMany>>,
    requests: Option<Spanned<OneOrMany>>,
}

/// A pointer, several of them, or a table that says more.
enum FieldIn {
    At(OneOrMany),
    Table(Box<TableIn>),
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TableIn {
    at: Option<OneOrMany>,
    is: Option<String>,
    #[serde(rename = "as")]
    unit: Option<Unit>,
    after: Option<OneOrMany>,
    before: Option<String>,
    split: Option<String>,
    #[serde(default)]
    words: BTreeMap<String, String>,
    cap: Option<usize>,
    missing: Option<MissingIn>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum MissingIn {
    Absent,
    Unknown,
}

impl<'de> Deserialize<'de> for FieldIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Field;
        impl<'de> Visitor<'de> for Field {
            type Value = FieldIn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON Pointer, a list of them, or a table")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<FieldIn, E> {
                Ok(FieldIn::At(OneOrMany::One(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<FieldIn, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(|list| FieldIn::At(OneOrMany::Many(list)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldIn, A::Error> {
                TableIn::deserialize(MapAccessDeserializer::new(map)).map(|table| FieldIn::Table(Box::new(table)))
            }
        }
        deserializer.deserialize_any(Field)
    }
}

/// Reads a field map. The texts that the places of the problems point into go to `sources`.
///
/// # Errors
///
/// Every problem found; a map with one is not used.
pub fn load(name: &str, bytes: &[u8], sources: &mut Sources) -> Result<FieldMap, Vec<Diagnostic>> {
    declared::load((name, bytes), sources, |reading, file| Builder(reading).map(file))
}

struct Builder<'r>(&'r mut Reading);

impl Builder<'_> {
    fn map(&mut self, file: MapIn) -> FieldMap {
        self.0.version(&file.version, "field maps");
        if file.name.get_ref().trim().is_empty() {
            self.0.problem(
                Code::InvalidValue,
                file.name.span(),
                "a field map has a name",
                "name it after the log's format",
            );
        }
        if file.reads == Reads::Messages {
            let asked =
                |name: &&Spanned<String>| ["method", "kind", "name", "arguments"].contains(&name.get_ref().as_str());
            for name in file.fields.keys().filter(asked) {
                let message = format!("`{}` stands in the JSON-RPC message itself", name.get_ref());
                self.0.problem(Code::InvalidValue, name.span(), message, "remove it");
            }
        }
        let (fields, claims) = (self.fields(file.fields), self.claims(file.claims));
        let mut rules: Vec<Rule> = file.records.into_iter().map(|rule| self.rule(rule, &fields, &claims)).collect();
        if rules.is_empty() {
            rules.push(Rule { name: "records".to_owned(), when: Vec::new(), fields: Some(fields), claims });
        }
        let message = match (file.reads, file.message) {
            (Reads::Messages, Some(message)) => Some(self.message(message.into_inner())),
            (Reads::Messages, None) => {
                let help = "add `[message]` with `at`, such as `at = [\"/message\", \"\"]`";
                self.0.problem(Code::MissingKey, file.name.span(), "`reads = \"messages\"` and no `[message]`", help);
                None
            }
            (_, Some(message)) => {
                let help = "write `reads = \"messages\"`, or remove it";
                self.0.problem(
                    Code::InvalidValue,
                    message.span(),
                    "`[message]` is for logs of JSON-RPC messages",
                    help,
                );
                None
            }
            (_, None) => None,
        };
        FieldMap {
            name: file.name.into_inner(),
            reads: file.reads,
            lists: self.pointers(file.lists),
            rules,
            marks: Marks {
                absent: self.globs(file.marks.absent),
                redacted: self.globs(file.marks.redacted),
                truncated: self.globs(file.marks.truncated),
            },
            states: file.states.into_iter().filter_map(|state| self.state(state.into_inner())).collect(),
            decisions: file.decisions.into_iter().map(|decision| self.decision(decision)).collect(),
            message,
        }
    }

    fn rule(
        &mut self,
        rule: Spanned<RuleIn>,
        base: &BTreeMap<Key, FieldSource>,
        base_claims: &BTreeMap<String, FieldSource>,
    ) -> Rule {
        let span = rule.span();
        let rule = rule.into_inner();
        let when = self.conditions(rule.when);
        let (own, own_claims) = (self.fields(rule.fields), self.claims(rule.claims));
        if rule.ignore == Some(true) {
            if !own.is_empty() || !own_claims.is_empty() {
                self.0.problem(
                    Code::InvalidValue,
                    span.clone(),
                    "a rule that leaves records out reads no field of them",
                    "",
                );
            }
            if when.is_empty() {
                let help = "say in `when` which records it is about";
                self.0.problem(Code::EmptySelector, span, "a rule that would leave every record out", help);
            }
            return Rule { name: rule.rule, when, fields: None, claims: BTreeMap::new() };
        }
        let (mut fields, mut claims) = (base.clone(), base_claims.clone());
        fields.extend(own);
        claims.extend(own_claims);
        Rule { name: rule.rule, when, fields: Some(fields), claims }
    }

    fn fields(&mut self, fields: BTreeMap<Spanned<String>, Spanned<FieldIn>>) -> BTreeMap<Key, FieldSource> {
        let mut out = BTreeMap::new();
        for (name, field) in fields {
            let Some(key) = self.key(&name, false) else { continue };
            if let Some(source) = self.source(field, Some(key)) {
                out.insert(key, source);
            }
        }
        out
    }

    fn claims(&mut self, claims: BTreeMap<String, Spanned<FieldIn>>) -> BTreeMap<String, FieldSource> {
        claims.into_iter().filter_map(|(name, field)| Some((name, self.source(field, None)?))).collect()
    }

    /// The field of that name. The claims are one only where their state is told.
    fn key(&mut self, name: &Spanned<String>, state: bool) -> Option<Key> {
        let known = || Key::ALL.iter().filter(|key| state || **key != Key::Claims);
        let key = known().find(|key| key.name() == name.get_ref()).copied();
        if key.is_none() {
            let near = did_you_mean(name.get_ref(), known().map(|key| key.name()));
            let all: Vec<&str> = known().map(|key| key.name()).collect();
            let help =
                near.map_or_else(|| format!("one of {}", all.join(", ")), |near| format!("did you mean `{near}`?"));
            self.0.problem(Code::UnknownKey, name.span(), format!("`{}` is no field", name.get_ref()), &help);
        }
        key
    }

    fn source(&mut self, field: Spanned<FieldIn>, key: Option<Key>) -> Option<FieldSource> {
        let span = field.span();
        let table = match field.into_inner() {
            FieldIn::At(at) => TableIn {
                at: Some(at),
                is: None,
                unit: None,
                after: None,
                before: None,
                split: None,
                words: BTreeMap::new(),
                cap: None,
                missing: None,
            },
            FieldIn::Table(table) => *table,
        };
        let instant = matches!(key, Some(Key::Time | Key::Issued | Key::Expires | Key::NotBefore));
        if table.unit.is_some() && !instant {
            self.0.problem(Code::InvalidValue, span.clone(), "`as` is for instants", "");
        }
        let from = match (table.at, table.is) {
            (Some(at), None) => Origin::At(self.each(at, &span)),
            (None, Some(text)) if !instant => Origin::Fixed(text),
            _ => {
                let help = "give `at` with a JSON Pointer, or `is` with a text that no record changes";
                self.0.problem(Code::InvalidValue, span, "a field says in one way where it comes from", help);
                return None;
            }
        };
        let empty = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
        let after = table.after.map(OneOrMany::list).unwrap_or_default();
        if empty(&table.before) || empty(&table.split) || after.iter().any(String::is_empty) {
            self.0.problem(Code::InvalidValue, span, "an empty text is found everywhere", "name the separator");
        }
        Some(FieldSource {
            from,
            unit: table.unit.unwrap_or(if key == Some(Key::Time) { Unit::Rfc3339 } else { Unit::S }),
            after,
            before: table.before,
            split: table.split,
            words: table.words,
            cap: table.cap,
            absent: matches!(table.missing, Some(MissingIn::Absent)),
        })
    }

    fn each(&mut self, texts: OneOrMany, span: &Range<usize>) -> Vec<Pointer> {
        let texts = texts.list();
        if texts.is_empty() || texts.len() > MAX_LIST {
            self.0.problem(Code::InvalidValue, span.clone(), format!("between 1 and {MAX_LIST} places"), "");
        }
        texts.iter().filter_map(|text| self.pointer(text, span.clone())).collect()
    }

    fn pointer(&mut self, text: &str, span: Range<usize>) -> Option<Pointer> {
        let pointer = Pointer::new(text);
        if pointer.is_none() {
            let help = format!("write `/{text}`; of a text that is the same in every record `{{ is = \"{text}\" }}`");
            self.0.problem(Code::InvalidPattern, span, format!("`{text}` is not a JSON Pointer"), &help);
        }
        pointer
    }

    fn pointers(&mut self, texts: Option<Spanned<OneOrMany>>) -> Vec<Pointer> {
        let Some(texts) = texts else { return Vec::new() };
        let span = texts.span();
        self.each(texts.into_inner(), &span)
    }

    fn globs(&mut self, texts: Option<Spanned<OneOrMany>>) -> Vec<crate::policy::glob::NameGlob> {
        let Some(texts) = texts else { return Vec::new() };
        let span = texts.span();
        self.0.globs(texts.into_inner(), &span)
    }

    fn conditions(&mut self, when: BTreeMap<Spanned<String>, Spanned<WhenIn>>) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for (at, test) in when {
            let span = test.span();
            let test = match test.into_inner() {
                WhenIn::Present(wanted) => Test::Present(wanted),
                WhenIn::Matches(texts) => Test::Matches(self.0.globs(texts, &span)),
            };
            match Pointer::new(at.get_ref()) {
                Some(at) => conditions.push(Condition { at, test }),
                None => {
                    let message = format!("`{}` is not a JSON Pointer", at.get_ref());
                    self.0.problem(Code::InvalidPattern, at.span(), message, &format!("write `/{}`", at.get_ref()));
                }
            }
        }
        conditions
    }

    fn state(&mut self, state: StateIn) -> Option<State> {
        let field = self.key(&state.field, true)?;
        let when = self.conditions(state.when);
        if when.is_empty() {
            self.0.problem(Code::EmptySelector, state.field.span(), "a state without a `when`", "say when it is so");
        }
        Some(State { field, is: state.is, when })
    }

    fn decision(&mut self, decision: Spanned<DecisionIn>) -> Decision {
        let span = decision.span();
        let decision = decision.into_inner();
        if decision.allow.is_none() && decision.deny.is_none() && (decision.present, decision.missing) == (None, None) {
            let help = "give `allow` or `deny` with the log's words, or `present` or `missing` with an effect";
            self.0.problem(Code::EmptyStatement, span, "a decision that never gives a verdict", help);
        }
        Decision {
            at: self.pointers(Some(decision.at)),
            when: self.conditions(decision.when),
            allow: self.globs(decision.allow),
            deny: self.globs(decision.deny),
            present: decision.present,
            missing: decision.missing,
            because: self.pointers(decision.because),
        }
    }

    fn message(&mut self, message: MessageIn) -> Message {
        Message {
            at: self.pointers(Some(message.at)),
            response: self.pointers(message.response),
            direction: self.pointers(message.direction),
            requests: self.globs(message.requests),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        let mut sources = Sources::default();
        let problems = load("m.toml", text.as_bytes(), &mut sources).unwrap_err();
        let show = |d: &Diagnostic| {
            let place = d.primary.as_ref().map(|l| sources.position(l.span).to_string()).unwrap_or_default();
            format!("{place}: {} [{}] {}", d.message, d.code, d.help.as_deref().unwrap_or("-"))
        };
        problems.iter().map(show).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_wrong_in_a_map_has_its_place() {
        insta::assert_snapshot!(problems("version = 1\nname = \"x\"\nfeilds = {}\n"), @"m.toml:3:1: unknown field `feilds` [unknown-key] did you mean `fields`?");
        insta::assert_snapshot!(problems("version = 1\nname = \"x\"\nreads = \"span\"\n"), @"m.toml:3:9: unknown variant `span` [invalid-value] did you mean `spans`?");
        insta::assert_snapshot!(problems("version = 1\nname = \"x\"\n[fields]\ntime = 7\n"), @"m.toml:4:8: invalid type: integer `7`, expected a JSON Pointer, a list of them, or a table [wrong-type] -");
        let many = r#"
version = 2
name = " "
[fields]
tme = "/t"
door = "server"
name = { at = "/n", is = "x" }
session = { at = "/s", after = "" }
agent = { at = "/a", as = "ms" }
claims = "/c"
[[records]]
rule = "all"
ignore = true
[[records]]
rule = "calls"
when = { "type" = "call", "/b" = "\\" }
[[states]]
field = "argumnts"
is = "truncated"
when = { "/x" = true }
[[decisions]]
at = "/d"
[message]
at = ""
"#;
        insta::assert_snapshot!(problems(many));
        insta::assert_snapshot!(problems("version = 1\nname = \"x\"\nreads = \"messages\"\n[fields]\nmethod = \"/m\"\n"), @r#"
        m.toml:5:1: `method` stands in the JSON-RPC message itself [invalid-value] remove it
        m.toml:2:8: `reads = "messages"` and no `[message]` [missing-key] add `[message]` with `at`, such as `at = ["/message", ""]`
        "#);
    }
}
