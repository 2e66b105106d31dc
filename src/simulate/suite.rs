//! Inline tests: subjects with what they may and may not do.
//!
//! A test decides with the very function that runs in production, at its own fixed instant. A test
//! that could not be carried out fails; none passes because nothing was asked.

use std::collections::BTreeMap;

use serde_json::Value;

use super::answer::{Answer, Side};

use super::coverage::{Coverage, Covered};
use crate::analyze::{Options, Place, Who, reachable};
use crate::diagnostics::Sources;
use crate::model::{
    Action, Arguments, Claim, Context, Effect, Fact, Position, Reason, Request, Resource, ResourceKind, Subject, Token,
    Verdict, Withheld, WithheldBecause,
};
use crate::pdp;
use crate::policy::CompiledPolicy;
use crate::policy::checks::{Expectation, PolicyTest};
use crate::policy::set::{Item, ItemPattern, item_name, named_item};
use crate::policy::uri::example;

/// What came of all tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuiteResult {
    /// Each test, in the order of the policy.
    pub tests: Vec<TestResult>,
    /// What of the policy they exercised.
    pub coverage: Coverage,
}

/// What came of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// Where its name stands.
    pub at: Position,
    /// How many requests it decided.
    pub requests: u64,
    /// What did not come out as expected.
    pub failures: Vec<Failure>,
}

/// One request that did not come out as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The expectation; for what a closed test leaves out, the test.
    pub at: Position,
    /// What was asked for, as `door:item`.
    pub item: String,
    /// What was expected.
    pub expected: Expected,
    /// What was answered.
    pub answer: Answer,
    /// What would allow a request that was expected to be allowed, the nearest first.
    pub advice: Vec<String>,
}

/// What a test expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// `allow`
    Allow,
    /// `deny`, for this reason where one is given.
    Deny(Option<Reason>),
    /// Not named by the test, and so out of reach whatever the arguments are.
    OutOfReach,
    /// A pattern that covers something.
    Something,
}

impl SuiteResult {
    /// Whether every test passed.
    pub fn passed(&self) -> bool {
        self.tests.iter().all(|test| test.failures.is_empty())
    }
}

/// Runs the tests of a policy.
pub fn run(policy: &CompiledPolicy, tests: &[PolicyTest], sources: &Sources) -> SuiteResult {
    let mut covered = Covered::default();
    let tests = tests.iter().map(|test| Run { policy, test, sources, covered: &mut covered }.run()).collect();
    SuiteResult { tests, coverage: covered.of(policy) }
}

struct Run<'a, 'p> {
    policy: &'p CompiledPolicy,
    test: &'a PolicyTest,
    sources: &'a Sources,
    covered: &'a mut Covered,
}

/// Something behind a door that a test asks for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    door: &'a str,
    kind: ResourceKind,
    /// The declared name.
    name: &'a str,
    /// The tool or prompt, the URI of a resource, empty for the server itself.
    target: &'a str,
}

impl Asked<'_> {
    fn label(&self) -> String {
        let item = item_name(self.kind, self.name);
        if self.kind == ResourceKind::Resource && self.target != self.name {
            return format!("{}:{item} ({})", self.door, self.target);
        }
        format!("{}:{item}", self.door)
    }
}

static ALL_WITHHELD: [Withheld; 1] = [Withheld { pointer: String::new(), because: WithheldBecause::NotRecorded }];

impl Run<'_, '_> {
    fn run(mut self) -> TestResult {
        let test = self.test;
        let mut result = TestResult {
            name: test.name.clone(),
            at: self.sources.position(test.span),
            requests: 0,
            failures: Vec::new(),
        };
        for expectation in &test.allow {
            self.expect(expectation, Expected::Allow, &mut result);
        }
        for expectation in &test.deny {
            self.expect(expectation, Expected::Deny(expectation.because), &mut result);
        }
        if test.closed {
            self.close(&mut result);
        }
        result
    }

    fn expect(&mut self, expectation: &Expectation, expected: Expected, result: &mut TestResult) {
        let set = self.policy.set();
        let call = &expectation.call;
        let mut found = false;
        for (door, kind, name, item) in set.items() {
            if call.matches(door, &item_name(kind, name)) {
                found = true;
                let uri = target(item, expectation.uri.as_deref());
                let asked = Asked { door, kind, name, target: uri.as_deref().unwrap_or(name) };
                self.check(asked, expectation, expected, result);
            }
        }
        for door in set.servers.keys().filter(|door| call.matches(door, "")) {
            found = true;
            let asked = Asked { door, kind: ResourceKind::Server, name: "", target: "" };
            self.check(asked, expectation, expected, result);
        }
        if found {
            return;
        }
        // What is not declared can still be asked for by name, and must then be denied.
        if let (Some(door), Some(item)) = (call.server.literal(), call.item.literal()) {
            let (kind, name) = named_item(item);
            let asked = Asked { door, kind, name, target: expectation.uri.as_deref().unwrap_or(name) };
            self.check(asked, expectation, expected, result);
            return;
        }
        result.failures.push(Failure {
            at: self.sources.position(expectation.span),
            item: call.to_string(),
            expected: Expected::Something,
            answer: Answer::None,
            advice: Vec::new(),
        });
    }

    fn check(&mut self, asked: Asked<'_>, expectation: &Expectation, expected: Expected, result: &mut TestResult) {
        result.requests += 1;
        self.covered.item(asked.door, asked.kind, asked.name);
        let arguments = Arguments::known(&expectation.args);
        let (verdict, advice) = self.with_request(asked, arguments, |request| {
            let verdict = pdp::judge(self.policy, request);
            let explained = expected == Expected::Allow && Side::Judged(&verdict).effect() != Some(Effect::Allow);
            let advice = if explained { pdp::explain(self.policy, request).advice } else { Vec::new() };
            (verdict, advice.iter().map(ToString::to_string).collect())
        });
        if let Verdict::Decided(decision) = verdict {
            self.covered.rule(decision.rule);
        }
        let side = Side::Judged(&verdict);
        let as_expected = match expected {
            Expected::Allow => side.effect() == Some(Effect::Allow),
            Expected::Deny(because) => {
                side.effect() == Some(Effect::Deny) && because.is_none_or(|reason| side.reason() == Some(reason))
            }
            Expected::OutOfReach | Expected::Something => false,
        };
        if !as_expected {
            result.failures.push(Failure {
                at: self.sources.position(expectation.span),
                item: asked.label(),
                expected,
                answer: side.answer(),
                advice,
            });
        }
    }

    /// Everything that neither list names must be out of reach, whatever the arguments are.
    fn close(&mut self, result: &mut TestResult) {
        let named = |door: &str, item: &str| {
            let lists = self.test.allow.iter().chain(&self.test.deny);
            lists.map(|e| &e.call).any(|call: &ItemPattern| call.matches(door, item))
        };
        let open: Vec<_> =
            self.policy.set().items().filter(|(door, kind, name, _)| !named(door, &item_name(*kind, name))).collect();
        for (door, kind, name, item) in open {
            result.requests += 1;
            let uri = target(item, None);
            let asked = Asked { door, kind, name, target: uri.as_deref().unwrap_or(name) };
            if let Some((answer, advice)) = self.reach(asked) {
                result.failures.push(Failure {
                    at: result.at.clone(),
                    item: asked.label(),
                    expected: Expected::OutOfReach,
                    answer,
                    advice,
                });
            }
        }
    }

    /// Whether the subject can reach something with any arguments, or any URI of its pattern: the
    /// answer, and with which.
    fn reach(&self, asked: Asked<'_>) -> Option<(Answer, Vec<String>)> {
        let unknown = Arguments { object: None, withheld: &ALL_WITHHELD };
        let verdict = self.with_request(asked, unknown, |request| pdp::judge(self.policy, request));
        let side = Side::Judged(&verdict);
        let by_uri = asked.kind == ResourceKind::Resource && side.reason() == Some(Reason::DeniedBy);
        match side.effect() {
            Some(Effect::Allow) => return Some((side.answer(), Vec::new())),
            // Nothing that is unknown could change it. Another URI may escape a deny.
            Some(Effect::Deny) if !by_uri => return None,
            Some(Effect::Deny) | None => {}
        }
        let place = Place { server: asked.door.to_owned(), kind: asked.kind, name: asked.name.to_owned() };
        let options = Options { from: Some(self.test.now), ..Options::default() };
        match reachable(self.policy, &self.who(), &place, options) {
            Ok(None) => None,
            Ok(Some(witness)) => {
                let target = witness.uri.as_deref().unwrap_or(asked.target);
                let asked = Asked { target, ..asked };
                let arguments = Arguments::known(&witness.arguments);
                let verdict = self.with_request(asked, arguments, |request| pdp::judge(self.policy, request));
                let with = match &witness.uri {
                    Some(uri) => format!("for example `{uri}`"),
                    None => format!("for example with arguments {}", Value::Object(witness.arguments.clone())),
                };
                let allowed = matches!(verdict, Verdict::Decided(decision) if decision.is_allow());
                Some(if allowed { (Side::Judged(&verdict).answer(), vec![with]) } else { (side.answer(), Vec::new()) })
            }
            Err(limit) => {
                Some((side.answer(), vec![format!("whether anything reaches it was not found out: {limit}")]))
            }
        }
    }

    /// The subject of the test for the analysis. A claim that it does not have is known to be absent.
    fn who(&self) -> Who {
        let subject = &self.test.subject;
        let set = self.policy.set();
        let asked = set.grants.iter().chain(&set.denies).flat_map(|statement| statement.to.claims.keys());
        let mut claims: BTreeMap<String, Vec<String>> = asked.map(|name| (name.clone(), Vec::new())).collect();
        claims.extend(subject.claims.clone());
        Who {
            issuer: Some(subject.issuer.clone()),
            id: Some(subject.id.clone()),
            agent: Some(subject.agent.clone()),
            groups: Some(subject.groups.clone()),
            claims,
            scopes: Some(subject.scopes.clone()),
        }
    }

    /// Hands the request of the test's subject to `f`.
    fn with_request<R>(&self, asked: Asked<'_>, arguments: Arguments<'_>, f: impl FnOnce(&Request<'_>) -> R) -> R {
        let subject = &self.test.subject;
        let claims: Vec<Claim<'_>> =
            subject.claims.iter().map(|(name, values)| Claim { name, values: values.into() }).collect();
        let audience = self.audience(asked.door);
        let issued = self.test.now.plus(-i64::from(subject.age));
        f(&Request {
            subject: Subject {
                issuer: Fact::Known(&subject.issuer),
                id: Fact::Known(&subject.id),
                agent: subject.agent.as_deref().map_or(Fact::Absent, Fact::Known),
                groups: Fact::Known((&subject.groups).into()),
                claims: Fact::Known(&claims),
            },
            action: match asked.kind {
                ResourceKind::Server => Action::Initialize,
                ResourceKind::Tool => Action::ToolsCall,
                ResourceKind::Prompt => Action::PromptsGet,
                ResourceKind::Resource => Action::ResourcesRead,
            },
            resource: Resource { door: asked.door, kind: asked.kind, name: asked.target },
            context: Context {
                now: self.test.now,
                token: Token {
                    audience: Fact::Known((&audience).into()),
                    scopes: Fact::Known((&subject.scopes).into()),
                    issued_at: Fact::Known(issued),
                    expires_at: Fact::Known(issued.plus(i64::from(subject.lifetime))),
                    not_before: Fact::Absent,
                },
                arguments,
            },
        })
    }

    /// The audience of the test's token: as written, or what the door asks for.
    fn audience(&self, door: &str) -> Vec<String> {
        let subject = &self.test.subject;
        if !subject.audience.is_empty() {
            return subject.audience.clone();
        }
        let set = self.policy.set();
        let of_issuer = set.issuers.get(&subject.issuer).map(|issuer| &issuer.audiences).filter(|a| !a.is_empty());
        let of_door = || set.servers.get(door).map(|server| vec![server.resource.clone()]);
        of_issuer.cloned().or_else(of_door).unwrap_or_default()
    }
}

/// The URI that stands for a declared resource: as the test gives it, or one that its pattern
/// matches, with `x` for each wildcard.
fn target(item: &Item, uri: Option<&str>) -> Option<String> {
    let pattern = item.uri.as_ref()?;
    uri.map(str::to_owned).or_else(|| example(pattern))
}
