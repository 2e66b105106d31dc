//! A caller whose token holds, at one door: every question to the policy about it.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::code::Code;
use super::door::{Door, scope_of};
use super::guard::{Guard, Rules};
use super::kept;
use super::known::Known;
use super::principal::Principal;
use super::rates::{Held, Shared};
use super::refusal::{Refusal, is_of_token};
use super::trace::Trace;
use crate::analyze;
use crate::audit::{self, EventText, Intent, RowRule, Verdict as RowVerdict};
use crate::identity::Verified;
use crate::model::{
    Action, Arguments, Context, Decision, Effect, Fact, FactSet, Reason, Request, Resource, ResourceKind, Strings,
    Timestamp, Verdict, Withheld, WithheldBecause,
};
use crate::pdp;
use crate::policy::{CompiledPolicy, mask_secrets};

/// The longest text from a request that a row repeats, in characters.
const SHOWN: usize = 1024;

/// A text of a request as a row repeats it. A secret in it is the caller's own; it is not kept.
fn shown(text: &str) -> String {
    match mask_secrets(text) {
        Cow::Borrowed(text) if text.len() <= SHOWN => text.to_owned(),
        text => text.chars().take(SHOWN).collect(),
    }
}

/// What is asked at a door.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method as received, or how the message came.
    pub(super) method: String,
    pub(super) action: Action,
    pub(super) kind: ResourceKind,
    pub(super) name: String,
    pub(super) arguments: Option<Arc<Map<String, Value>>>,
    pub(super) era: Option<String>,
    pub(super) session: Option<String>,
    pub(super) trace: Option<Trace>,
}

impl Ask {
    /// A tool call.
    pub fn tool(name: impl Into<String>, arguments: Map<String, Value>) -> Self {
        Self {
            kind: ResourceKind::Tool,
            name: name.into(),
            arguments: Some(Arc::new(arguments)),
            ..Self::server(Action::ToolsCall.method(), Action::ToolsCall)
        }
    }

    /// Something of the server itself.
    pub(super) fn server(method: &str, action: Action) -> Self {
        Self {
            method: method.to_owned(),
            action,
            kind: ResourceKind::Server,
            name: String::new(),
            arguments: None,
            era: None,
            session: None,
            trace: None,
        }
    }
}

/// A caller at a door.
pub(super) struct Caller {
    pub(super) guard: Guard,
    /// The policy that the request came under.
    pub(super) rules: Arc<Rules>,
    pub(super) door: Arc<Door>,
    pub(super) verified: Arc<Verified>,
    pub(super) principal: Principal,
    pub(super) known: Arc<Known>,
    /// The identifier of the request.
    pub(super) request: Arc<str>,
    pub(super) now: Timestamp,
}

/// What became of what was asked, before it is counted where gateways count together.
struct Judged {
    /// The row of the decision.
    intent: Intent,
    /// What the caller is told when the policy denies it.
    refused: Option<Refusal>,
    /// Whether a rate of this gateway stops it.
    held: Option<Held>,
    /// The rates across gateways that it counts in.
    shared: Vec<Shared>,
}

/// The token with which a question is asked.
#[derive(Clone, Copy)]
enum With<'a> {
    /// As it came.
    Token,
    /// The same with another scope.
    Scope(&'a [&'a str]),
    /// The same, issued just now, with another scope where one is needed.
    Fresh(Option<&'a [&'a str]>),
}

/// All arguments, not known.
static ANY_ARGUMENTS: [Withheld; 1] = [Withheld { pointer: String::new(), because: WithheldBecause::NotRecorded }];

impl Caller {
    /// Puts a question to a policy.
    fn question<R>(
        &self,
        now: Timestamp,
        (action, kind, name): (Action, ResourceKind, &str),
        arguments: Arguments<'_>,
        with: With<'_>,
        answer: impl FnOnce(&Request<'_>) -> R,
    ) -> R {
        let claims = self.verified.claims();
        let (subject, mut token) = self.verified.facts(&claims);
        if let With::Scope(list) | With::Fresh(Some(list)) = with {
            token.scopes = Fact::Known(Strings::Borrowed(list));
        }
        if let (With::Fresh(_), Fact::Known(issued), Fact::Known(expires)) = (with, token.issued_at, token.expires_at) {
            token.issued_at = Fact::Known(now);
            token.expires_at = Fact::Known(now.plus(expires.since(issued)));
            token.not_before = Fact::Absent;
        }
        let resource = Resource { door: self.door.name(), kind, name };
        answer(&Request { subject, action, resource, context: Context { now, token, arguments } })
    }

    /// The same caller now, under the policy in force.
    pub(super) fn anew(&self) -> Self {
        let rules = self.guard.0.rules.load_full();
        Self {
            guard: self.guard.clone(),
            door: rules.door(self.door.name()),
            rules,
            verified: Arc::clone(&self.verified),
            principal: self.principal.clone(),
            known: Arc::clone(&self.known),
            request: Arc::clone(&self.request),
            now: self.guard.now(),
        }
    }

    /// Decides what is asked, and counts it in the rates of this gateway when it is allowed.
    fn judge(&self, ask: &Ask) -> Judged {
        let policy = &self.rules.policy;
        let arguments = ask.arguments.as_deref().map_or(Arguments::NONE, Arguments::known);
        self.question(self.now, (ask.action, ask.kind, &ask.name), arguments, With::Token, |request| {
            let decision = pdp::decide(policy, request);
            let mut intent = self.intent(ask, &decision);
            intent.event = self.kept(ask, request, intent.session.as_deref());
            if !decision.is_allow() {
                let refused = Some(self.refusal(ask, &decision));
                return Judged { intent, refused, held: None, shared: Vec::new() };
            }
            let counted = pdp::Survey::of(policy, request).map(|survey| {
                let names = survey.rated_door().into_iter().chain(std::iter::repeat(survey.item().name));
                let rates = names.zip(survey.obligations().rates.iter().copied());
                self.guard.0.rates.count(rates, &self.principal, self.now)
            });
            let (held, shared) = counted.unwrap_or_default();
            Judged { intent, refused: None, held, shared }
        })
    }

    /// Decides what is asked, and counts it in all of its rates when it is allowed. Gives the row that must
    /// be written, and what the caller is told when it may not pass.
    pub(super) async fn weigh(&self, ask: &Ask) -> (Intent, Result<(), Refusal>) {
        let Judged { mut intent, refused, held, shared } = self.judge(ask);
        if let Some(refusal) = refused {
            return (intent, Err(refusal));
        }
        let held = held.max(self.guard.0.rates.count_shared(&shared, self.now).await);
        let passes = held.map_or(Ok(()), |held| {
            // The statement stays: it says what the policy answered before a rate was counted.
            intent.verdict.effect = Effect::Deny;
            intent.verdict.reason = held.code.as_str().into();
            Err(Refusal { retry_after: Some(held.seconds).filter(|s| *s > 0), ..held.code.into() })
        });
        (intent, passes)
    }

    /// The row of something that the guard itself refuses.
    pub(super) fn refused(&self, ask: &Ask, refusal: &Refusal) -> Intent {
        let verdict = RowVerdict { effect: Effect::Deny, reason: refusal.code().as_str().into(), rule: None };
        let mut intent = Intent { verdict, ..self.row(ask) };
        if let Code::Policy(reason) = refusal.code() {
            // The policy would say the same, and will when it is asked again. A method that only its revision does not
            // have is an unknown one.
            let action = if reason == Reason::UnknownMethod { Action::Unknown } else { ask.action };
            let what = (action, ask.kind, ask.name.as_str());
            intent.event = self.question(self.now, what, Arguments::NONE, With::Token, |request| {
                self.kept(ask, request, intent.session.as_deref())
            });
        }
        intent
    }

    /// What of a request with the token as it came is kept with its row.
    fn kept(&self, ask: &Ask, request: &Request<'_>, session: Option<&str>) -> Option<EventText> {
        let said = kept::Said { method: &ask.method, era: ask.era.as_deref(), session };
        kept::event(&self.rules.policy, request, said, &self.known.asker)
    }

    /// The row of a decision.
    fn intent(&self, ask: &Ask, decision: &Decision<'_>) -> Intent {
        let rule = decision.rule.map(|rule| RowRule {
            kind: rule.kind,
            name: rule.name.to_owned(),
            at: rule.position.clone(),
        });
        let verdict = RowVerdict { effect: decision.effect, reason: decision.reason.code().into(), rule };
        let mut intent = Intent { verdict, ..self.row(ask) };
        if let Some(obligations) = decision.obligations {
            intent.class = self.rules.class(obligations.audit);
        }
        intent
    }

    /// A row with everything but the verdict.
    fn row(&self, ask: &Ask) -> Intent {
        let rules = &self.rules;
        let arguments = ask.arguments.as_ref().and_then(|arguments| serde_json::to_vec(&**arguments).ok());
        Intent {
            time: self.now,
            request: Arc::clone(&self.request),
            trace: ask.trace.as_ref().and_then(Trace::id),
            session: ask.session.as_ref().map(|session| audit::digest(session.as_bytes())),
            who: Arc::clone(&self.known.who),
            door: Arc::clone(self.door.name()),
            era: ask.era.clone(),
            method: shown(&ask.method),
            name: shown(&ask.name),
            arguments: arguments.map(|bytes| audit::digest(&bytes)),
            message: None,
            event: None,
            verdict: RowVerdict { effect: Effect::Deny, reason: "".into(), rule: None },
            policy: Arc::clone(rules.digest()),
            class: rules.class(rules.policy.set().servers.get(&**self.door.name()).map_or("", |server| &server.audit)),
        }
    }

    /// What the caller is told of a denial. What it could not use with a fresh token, any scopes and
    /// any arguments looks like what does not exist.
    fn refusal(&self, ask: &Ask, decision: &Decision<'_>) -> Refusal {
        let policy = &self.rules.policy;
        let what = (ask.action, ask.kind, ask.name.as_str());
        let because = |reason| Refusal::new(Code::Policy(reason));
        let mut reason = decision.reason;
        if matches!(reason, Reason::UnknownMethod | Reason::GrantExpired | Reason::MissingFact) {
            return because(reason);
        }
        if ask.kind != ResourceKind::Server {
            // A token that opens no door says nothing of what is behind this one.
            let door = (Action::Ping, ResourceKind::Server, "");
            let of_door = self
                .question(self.now, door, Arguments::NONE, With::Token, |request| pdp::decide(policy, request).reason);
            if is_of_token(of_door) {
                return because(of_door);
            }
            if !self.could_with_scope(policy, what) {
                return because(Reason::NoGrant);
            }
        }
        if reason == Reason::ScopeMissing
            && let Some(scope) = scope_of(policy, self.door.name(), ask.kind, &ask.name)
        {
            let arguments = ask.arguments.as_deref().map_or(Arguments::NONE, Arguments::known);
            let with = With::Scope(&[&scope]);
            let decision = self.question(self.now, what, arguments, with, |request| pdp::decide(policy, request));
            if decision.is_allow() {
                return Refusal { scopes: vec![scope], ..because(reason) };
            }
            reason = decision.reason;
        }
        because(reason)
    }

    /// Whether the caller may have one thing now, under the policy in force: a URI, a task.
    pub(super) fn may(&self, what: (Action, ResourceKind, &str), arguments: Arguments<'_>) -> bool {
        self.may_at(self.guard.now(), what, arguments)
    }

    /// The same at another instant.
    fn may_at(&self, now: Timestamp, what: (Action, ResourceKind, &str), arguments: Arguments<'_>) -> bool {
        let rules = self.guard.0.rules.load();
        // Another issuer may have this one's name by now; its `sub` would be another's.
        let own = rules.voucher(self.principal.issuer()).is_some_and(|voucher| **voucher == *self.principal.voucher());
        own && self
            .question(now, what, arguments, With::Token, |request| pdp::decide(&rules.policy, request).is_allow())
    }

    /// Whether the caller may still be connected to the server that is behind the door: asked of streams
    /// that last.
    pub(super) fn may_stay(&self) -> bool {
        let moved = self.guard.0.rules.load().door(self.door.name()).place() != self.door.place();
        !moved && self.may((Action::Ping, ResourceKind::Server, ""), Arguments::NONE)
    }

    /// Whether the policy in force would have let pass what was passed: asked of calls under way when the
    /// policy changes. They are judged at the time at which they came.
    pub(super) fn might(&self, what: (Action, ResourceKind, &str), arguments: Option<&Map<String, Value>>) -> bool {
        self.may_at(self.now, what, arguments.map_or(Arguments::NONE, Arguments::known))
    }

    /// Whether some call of a tool or prompt, or a read of a URI, could be allowed to this caller with
    /// this token: whether it belongs in a list.
    pub(super) fn could(&self, what: (Action, ResourceKind, &str)) -> bool {
        self.possible(&self.rules.policy, what, With::Token)
    }

    /// The same with a fresh token that carries the scope that it needs.
    fn could_with_scope(&self, policy: &CompiledPolicy, what: (Action, ResourceKind, &str)) -> bool {
        match scope_of(policy, self.door.name(), what.1, what.2) {
            Some(scope) => self.possible(policy, what, With::Fresh(Some(&[&scope]))),
            None => self.possible(policy, what, With::Fresh(None)),
        }
    }

    fn possible(&self, policy: &CompiledPolicy, what: (Action, ResourceKind, &str), with: With<'_>) -> bool {
        let arguments = match what.1 {
            ResourceKind::Tool | ResourceKind::Prompt => Arguments { object: None, withheld: &ANY_ARGUMENTS },
            ResourceKind::Server | ResourceKind::Resource => Arguments::NONE,
        };
        self.question(self.now, what, arguments, with, |request| match pdp::judge(policy, request) {
            Verdict::Decided(decision) => decision.is_allow(),
            // Only the arguments are open. A question too large to answer lists the entry; a call of it
            // is decided in full.
            Verdict::Undecided(missing) if missing.facts == FactSet::ARGUMENTS => {
                analyze::some_arguments(policy, request, self.guard.limits().steps).unwrap_or(true)
            }
            Verdict::Undecided(_) => false,
        })
    }

    /// Whether some URI that fits a template (RFC 6570) could be read.
    pub(super) fn could_fit(&self, template: &str) -> bool {
        let policy = &self.rules.policy;
        let Ok(uris) = analyze::uris_of(policy, self.door.name(), Some(template), self.guard.limits().steps) else {
            return true;
        };
        uris.iter().any(|uri| self.could((Action::ResourcesRead, ResourceKind::Resource, uri)))
    }

    /// Whether anything of a kind could be allowed to this caller with some token: whether the server
    /// has that kind at all for it.
    pub(super) fn has_any(&self, kind: ResourceKind) -> bool {
        let policy = &self.rules.policy;
        let Some(server) = policy.set().servers.get(&**self.door.name()) else { return false };
        let any = |action, name: &str| self.could_with_scope(policy, (action, kind, name));
        match kind {
            ResourceKind::Server => true,
            ResourceKind::Tool => server.tools.keys().any(|name| any(Action::ToolsCall, name)),
            ResourceKind::Prompt => server.prompts.keys().any(|name| any(Action::PromptsGet, name)),
            ResourceKind::Resource => {
                !server.resources.is_empty()
                    && analyze::uris_of(policy, self.door.name(), None, self.guard.limits().steps)
                        .map_or(true, |uris| uris.iter().any(|uri| any(Action::ResourcesRead, uri)))
            }
        }
    }
}
