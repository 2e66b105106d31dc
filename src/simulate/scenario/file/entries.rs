//! What is expected of single events and of single sessions.

use toml::Spanned;

use super::Reading;
use super::grammar::{BreakIn, EventIn, EventName};
use crate::diagnostics::Code;
use crate::model::Reason;
use crate::simulate::examine::Class;
use crate::simulate::scenario::{BreakExpectation, EventExpectation};
use crate::simulate::select::Select;

impl Reading {
    pub(super) fn event(&mut self, event: Spanned<EventIn>) -> Option<EventExpectation> {
        let whole = self.span(event.span());
        let event = event.into_inner();
        let name = match event.event.get_ref() {
            EventName::Line(line) => line.to_string(),
            EventName::Text(text) => text.clone(),
        };
        let effects = ["allow", "deny", "undecidable"];
        let place = |reading: &Self, written: &Spanned<String>| reading.span(written.span());
        let effect =
            event.effect.as_ref().and_then(|w| Some((self.word(w, "effect", effects)?.to_owned(), place(self, w))));
        let reason = event.reason.as_ref().and_then(|w| {
            let word = self.word(w, "reason", Reason::ALL.iter().map(|reason| reason.code()))?;
            Some((Reason::parse(word)?, place(self, w)))
        });
        let class = event.class.as_ref().and_then(|w| {
            let word = self.word(w, "class", Class::ALL.iter().map(|class| class.as_str()))?;
            Some((Class::ALL.into_iter().find(|class| class.as_str() == word)?, place(self, w)))
        });
        let rule = event.rule.map(|w| (w.get_ref().clone(), self.span(w.span())));
        let missing = event.missing.map(|w| {
            let span = self.span(w.span());
            (w.into_inner().list(), span)
        });
        let drift = event.drift.map(|w| (*w.get_ref(), self.span(w.span())));
        if effect.is_none()
            && reason.is_none()
            && class.is_none()
            && rule.is_none()
            && missing.is_none()
            && drift.is_none()
        {
            let help = "say its `effect`, `reason`, `rule`, `class`, `missing` or `drift`".to_owned();
            if self.problems.is_empty() {
                self.problem(Code::MissingKey, whole, "nothing is expected of the event".to_owned(), help);
            }
            return None;
        }
        let span = self.span(event.event.span());
        Some(EventExpectation { select: Select::parse(&name), span, effect, reason, rule, class, missing, drift })
    }

    /// That a session breaks, and how.
    pub(super) fn breaks(&mut self, broken: BreakIn) -> BreakExpectation {
        let before = broken.before.as_ref().and_then(|amount| {
            let key = Spanned::new(amount.span(), "before".to_owned());
            Some((self.amount(&key, amount.get_ref())?, self.span(amount.span())))
        });
        BreakExpectation {
            span: self.span(broken.session.span()),
            item: broken.item.map(|item| (item.get_ref().clone(), self.span(item.span()))),
            before,
            sure: broken.sure.map(|sure| (*sure.get_ref(), self.span(sure.span()))),
            session: broken.session.into_inner(),
        }
    }
}
