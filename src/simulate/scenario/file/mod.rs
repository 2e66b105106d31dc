//! The TOML of a scenario. An unknown key is an error at its place, as in a policy.

mod entries;
mod grammar;

use toml::Spanned;

use self::grammar::{AgesIn, AmountIn, FileIn, OneOrMany};
use super::figures::{Figure, RATES, SESSIONS, UNUSUAL};
use super::{Amount, BOUNDED, COUNTED, Counted, EventExpectation, Expectation, Expected, GATES, Range, Scenario};
use crate::diagnostics::{Code, Diagnostic, SourceId, Sources, Span, did_you_mean};
use crate::model::{Reason, Timestamp};
use crate::policy::span_of_time;
use crate::simulate::ages::TTLS;
use crate::simulate::terms::Clock;

/// The longest scenario that is read, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// Reads a scenario. The texts that the places of the problems point into go to `sources`.
///
/// # Errors
///
/// Every problem found; a scenario with one is not run.
pub fn load(name: &str, bytes: &[u8], sources: &mut Sources) -> Result<Scenario, Vec<Diagnostic>> {
    if bytes.len() > MAX_BYTES {
        let problem = Diagnostic::new(Code::TooLarge, format!("`{name}` is larger than {MAX_BYTES} bytes"));
        return Err(vec![problem.help("expect counts instead of single events")]);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        let problem = Diagnostic::new(Code::NotUtf8, format!("`{name}` is not UTF-8 text"));
        return Err(vec![problem.help("save the file as UTF-8")]);
    };
    let mut reading = Reading { source: sources.add(name, text), problems: Vec::new() };
    let scenario = match toml::from_str::<FileIn>(text) {
        Ok(file) => Some(reading.scenario(name, file)),
        Err(error) => {
            reading.refuse(&error);
            None
        }
    };
    match scenario {
        Some(scenario) if reading.problems.is_empty() => Ok(scenario),
        _ => Err(reading.problems),
    }
}

struct Reading {
    source: SourceId,
    problems: Vec<Diagnostic>,
}

impl Reading {
    fn span(&self, range: std::ops::Range<usize>) -> Span {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { source: self.source, start: number(range.start), end: number(range.end) }
    }

    fn problem(&mut self, code: Code, span: Span, message: String, help: String) {
        self.problems.push(Diagnostic::new(code, message).at(span, "").help(help));
    }

    /// What the TOML parser says, under our codes.
    fn refuse(&mut self, error: &toml::de::Error) {
        let message = error.message().lines().next().unwrap_or_default().to_owned();
        let code = match message.as_str() {
            m if m.starts_with("unknown field") => Code::UnknownKey,
            m if m.starts_with("missing field") => Code::MissingKey,
            m if m.starts_with("invalid type") || m.starts_with("data did not match") => Code::WrongType,
            _ => Code::TomlSyntax,
        };
        let mut words = message.split('`').skip(1).step_by(2);
        let near = words.next().and_then(|word| did_you_mean(word, words)).filter(|_| code == Code::UnknownKey);
        let help = near.map_or_else(|| "docs/scenarios.md says what a scenario holds".to_owned(), meant);
        let short = message.split(", expected one of").next().unwrap_or_default().to_owned();
        let short = if short.starts_with("data did not match") {
            "the value is not of a form that the key takes: a count is a number or `{ min = .., max = .. }`".to_owned()
        } else {
            short
        };
        let span = self.span(error.span().unwrap_or(0..0));
        self.problem(code, span, short, help);
    }

    fn scenario(&mut self, name: &str, file: FileIn) -> Scenario {
        let begin = Span { source: self.source, start: 0, end: 0 };
        if *file.version.get_ref() != 1 {
            let message = format!("version {} of scenarios is not one this build reads", file.version.get_ref());
            self.problem(
                Code::UnknownVersion,
                self.span(file.version.span()),
                message,
                "write `version = 1`".to_owned(),
            );
        }
        let at = file.name.as_ref().map_or(begin, |name| self.span(name.span()));
        let clock = self.clock(file.shift.as_ref(), file.at.as_ref());
        let mut expectations = Vec::new();
        for (key, amount) in &file.counts {
            if let (Some(counted), Some(amount)) = (self.counted(key, "count", |_| true), self.amount(key, amount)) {
                expectations.push(self.expected(key, Expected::Count(counted, amount)));
            }
        }
        for (key, amount) in &file.reasons {
            let known = Reason::ALL.iter().map(|reason| reason.code()).chain(["undecidable"]);
            if let (Some(reason), Some(amount)) = (self.word(key, "reason", known), self.amount(key, amount)) {
                expectations.push(self.expected(key, Expected::Reason(reason.to_owned(), amount)));
            }
        }
        for (key, amount) in &file.missing {
            if let Some(amount) = self.amount(key, amount) {
                expectations.push(self.expected(key, Expected::Missing(key.get_ref().clone(), amount)));
            }
        }
        for (key, bounds) in &file.bounds {
            let bounded = |name: &str| BOUNDED.iter().any(|(known, _)| *known == name);
            if let Some(counted) = self.counted(key, "count with bounds", bounded) {
                let range = Range { at_least: bounds.at_least, at_most: bounds.at_most };
                expectations.push(self.expected(key, Expected::Bounds(counted, range)));
            }
        }
        self.figures(&file, &mut expectations);
        if let Some(gate) = &file.gate
            && let Some(word) = self.word(gate, "verdict of the gate", GATES)
        {
            expectations.push(self.expected(gate, Expected::Gate(word.to_owned())));
        }
        let events: Vec<EventExpectation> = file.events.into_iter().filter_map(|event| self.event(event)).collect();
        let breaks: Vec<_> = file.breaks.into_iter().map(|broken| self.breaks(broken)).collect();
        if expectations.is_empty() && events.is_empty() && breaks.is_empty() && self.problems.is_empty() {
            let help = "add [counts], [reasons], [sessions], [rates], [[events]] or another expectation".to_owned();
            self.problem(Code::MissingKey, at, "the scenario expects nothing and could not fail".to_owned(), help);
        }
        let recordings_span = self.span(file.recordings.span());
        let recordings = file.recordings.into_inner().list();
        if recordings.is_empty() {
            let help = "name files, directories or globs, from the directory of the scenario".to_owned();
            self.problem(Code::InvalidValue, recordings_span, "there is no recording".to_owned(), help);
        }
        let list = |given: Option<OneOrMany>| given.map(OneOrMany::list).unwrap_or_default();
        Scenario {
            name: file.name.map_or_else(|| name.to_owned(), Spanned::into_inner),
            at,
            recordings,
            from: file.from,
            mapping: file.mapping,
            policy: file.policy,
            profile: file.profile,
            baseline: file.baseline,
            what_ifs: [list(file.set), list(file.drop_grant), list(file.drop_deny), list(file.drop_scope)],
            clock,
            expectations,
            events,
            breaks,
        }
    }

    /// What is expected of sessions, rates and the age of tokens.
    fn figures(&mut self, file: &FileIn, expectations: &mut Vec<Expectation>) {
        let mut add = |reading: &mut Self, key: &Spanned<String>, figure: Option<Figure>, amount: &AmountIn| {
            if let (Some(figure), Some(amount)) = (figure, reading.amount(key, amount)) {
                expectations.push(reading.expected(key, Expected::Figure(figure, amount)));
            }
        };
        for (key, amount) in &file.sessions {
            let figure = self.word(key, "figure of sessions", SESSIONS.map(|(name, _)| name)).map(Figure::Sessions);
            add(self, key, figure, amount);
        }
        for (key, amount) in &file.breaking {
            add(self, key, Some(Figure::BreakingAt(key.get_ref().clone())), amount);
        }
        for (key, amount) in &file.rates {
            let figure = self.word(key, "figure of rates", RATES.map(|(name, _)| name)).map(Figure::Rates);
            add(self, key, figure, amount);
        }
        for (key, amount) in &file.unusual {
            let figure = self.word(key, "figure of unusual calls", UNUSUAL.map(|(name, _)| name)).map(Figure::Unusual);
            add(self, key, figure, amount);
        }
        let AgesIn { calls, sessions, renewals, doors } = &file.token_ages;
        let of_door = doors.iter().flat_map(|(door, table)| table.iter().map(move |entry| (Some(door), entry)));
        for (door, (key, amount)) in calls.iter().map(|entry| (None, entry)).chain(of_door) {
            let figure = self.ttl(key).map(|ttl| Figure::OldCalls(door.cloned(), ttl));
            add(self, key, figure, amount);
        }
        for (key, amount) in sessions {
            let figure = self.ttl(key).map(Figure::OldSessions);
            add(self, key, figure, amount);
        }
        for (key, amount) in renewals {
            let figure = self.ttl(key).map(Figure::Renewals);
            add(self, key, figure, amount);
        }
    }

    /// One of the lifetimes for which a rehearsal tells the cost.
    fn ttl(&mut self, key: &Spanned<String>) -> Option<u32> {
        let seconds = span_of_time(key.get_ref());
        let found = TTLS.into_iter().find(|ttl| seconds == Some(u64::from(*ttl)));
        if found.is_none() {
            let shown: String = key.get_ref().chars().take(80).collect();
            let message = format!("`{shown}` is not a lifetime for which a rehearsal tells the cost");
            let help = "it may be 30s, 1m, 2m, 5m, 10m, 15m, 30m, 1h, 2h, 4h, 8h, 12h or 24h".to_owned();
            self.problem(Code::InvalidValue, self.span(key.span()), message, help);
        }
        found
    }

    fn expected<T>(&self, key: &Spanned<T>, what: Expected) -> Expectation {
        Expectation { span: self.span(key.span()), what }
    }

    fn clock(&mut self, shift: Option<&Spanned<String>>, at: Option<&Spanned<toml::value::Datetime>>) -> Clock {
        match (shift, at) {
            (None, None) => Clock::AsRecorded,
            (Some(shift), Some(_)) => {
                let help = "take one of them".to_owned();
                let message = "`shift` and `at` are two ways to say when".to_owned();
                self.problem(Code::InvalidValue, self.span(shift.span()), message, help);
                Clock::AsRecorded
            }
            (Some(shift), None) => {
                let text = shift.get_ref().as_str();
                let (sign, length) = text.strip_prefix('-').map_or((1, text), |length| (-1, length));
                if let Some(seconds) = span_of_time(length).and_then(|seconds| i64::try_from(seconds).ok()) {
                    return Clock::Shifted { seconds: sign * seconds };
                }
                let message = format!("`{text}` is not a duration");
                let help = "write `90d`, or `-90d` for earlier".to_owned();
                self.problem(Code::InvalidValue, self.span(shift.span()), message, help);
                Clock::AsRecorded
            }
            (None, Some(at)) => {
                let text = at.get_ref().to_string();
                let format = &time::format_description::well_known::Rfc3339;
                if let Ok(instant) = time::OffsetDateTime::parse(&text, format) {
                    return Clock::At { instant: Timestamp(instant.unix_timestamp()) };
                }
                let message = format!("`{text}` is not an instant");
                let help = "write date, time and offset, such as `2026-03-02T09:00:00Z`".to_owned();
                self.problem(Code::InvalidValue, self.span(at.span()), message, help);
                Clock::AsRecorded
            }
        }
    }

    fn counted(&mut self, key: &Spanned<String>, what: &str, fits: impl Fn(&str) -> bool) -> Option<Counted> {
        let known = || COUNTED.iter().filter(|counted| fits(counted.0));
        let word = self.word(key, what, known().map(|counted| counted.0))?;
        known().find(|counted| counted.0 == word).copied()
    }

    /// The known word that is written there.
    fn word<'k>(
        &mut self,
        written: &Spanned<String>,
        what: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) -> Option<&'k str> {
        let known: Vec<&str> = known.into_iter().collect();
        let text = written.get_ref().as_str();
        if let Some(word) = known.iter().find(|word| **word == text) {
            return Some(word);
        }
        let help =
            did_you_mean(text, known.iter().copied()).map_or_else(|| format!("it may be {}", known.join(", ")), meant);
        let shown: String = text.chars().take(80).collect();
        self.problem(Code::InvalidValue, self.span(written.span()), format!("`{shown}` is not a {what}"), help);
        None
    }

    fn amount(&mut self, key: &Spanned<String>, amount: &AmountIn) -> Option<Amount> {
        let (min, max) = match amount {
            AmountIn::Exactly(count) => (*count, *count),
            AmountIn::Between(between) => (between.min.unwrap_or(0), between.max.unwrap_or(u64::MAX)),
        };
        if min <= max && (min, max) != (0, u64::MAX) {
            return Some(Amount { min, max });
        }
        let message = format!("no count or every count is what `{}` asks for", key.get_ref());
        let help = "write a number, or `{ min = .., max = .. }` with one of them at least".to_owned();
        self.problem(Code::EmptyRange, self.span(key.span()), message, help);
        None
    }
}

fn meant(near: &str) -> String {
    format!("did you mean `{near}`?")
}
