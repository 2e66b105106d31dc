//! What a statement asks for and a request does not have, each condition on its own.
//!
//! Made for explanations: a decision stops at the first condition that fails, this lists them all. It never
//! decides.

use super::evaluate::Case;
use super::explain::{Condition, show, spaced};
use super::selector::selects;
use super::truth::Truth;
use crate::model::{Fact, Timestamp};
use crate::policy::argument::{ArgPath, Found};
use crate::policy::glob::NameGlob;
use crate::policy::matcher::{ArgRules, Matcher};
use crate::policy::set::{Selector, Statement};

/// A condition that is not met, or not known to be.
#[derive(Clone, Debug)]
pub(super) struct Unmet<'p> {
    pub(super) part: Part<'p>,
    /// Whether it is known not to be met.
    pub(super) known: bool,
    pub(super) condition: Condition,
}

/// What of a statement asks for it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'p> {
    Issuer,
    Subjects(&'p [NameGlob]),
    Agents(&'p [NameGlob]),
    Groups(&'p [NameGlob]),
    Servers,
    Claim(&'p str, &'p [NameGlob]),
    Expires(Timestamp),
    Argument(&'p ArgPath),
}

/// Every condition of a statement that is not met, in the order in which they are judged.
pub(super) fn of_statement<'p>(
    case: &Case<'p, '_>,
    statement: &'p Statement,
    rules: impl Iterator<Item = &'p ArgRules>,
    forbid: bool,
) -> Vec<Unmet<'p>> {
    let mut unmet = of_selector(case, &statement.to);
    let now = case.request.context.now;
    if let Some(expires) = statement.expires.filter(|_| !statement.is_live(now)) {
        let condition = Condition::new("expires", format!("before {expires}"), now.to_string());
        unmet.push(Unmet { part: Part::Expires(expires), known: true, condition });
    }
    let mut arguments: Vec<_> = rules.flat_map(|rules| of_arguments(case, rules, forbid)).collect();
    // What fails settles it, whatever else is not known.
    arguments.sort_by_key(|one| !one.known);
    unmet.extend(arguments);
    unmet
}

/// Every argument rule that is not met.
pub(super) fn of_arguments<'p, 'r>(
    case: &Case<'p, 'r>,
    rules: &'p ArgRules,
    forbid: bool,
) -> impl Iterator<Item = Unmet<'p>> + use<'p, 'r> {
    let arguments = case.request.context.arguments;
    rules.failing(arguments, forbid).map(move |(path, matcher, known)| Unmet {
        part: Part::Argument(path),
        known,
        condition: argument(path, matcher, known.then(|| path.look(&arguments))),
    })
}

/// What is asked of an argument, and what is there; nothing where that was not recorded.
fn argument(path: &ArgPath, matcher: &Matcher, found: Option<Found<'_>>) -> Condition {
    let found = match found {
        None => "not recorded".to_owned(),
        Some(Found::Value(value)) => shortened(&value.to_string()),
        Some(Found::Nothing) => "missing".to_owned(),
        Some(Found::Blocked) => "out of reach: a value above it is of another type".to_owned(),
    };
    Condition::new(format!("args.{path}"), matcher.to_string(), found)
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 120;
    if text.chars().count() <= LONGEST {
        text.to_owned()
    } else {
        text.chars().take(LONGEST).chain("…".chars()).collect()
    }
}

fn of_selector<'p>(case: &Case<'p, '_>, to: &'p Selector) -> Vec<Unmet<'p>> {
    let subject = &case.request.subject;
    let mut unmet = Vec::new();
    let mut ask =
        |alone: Selector, part: Part<'p>, field: &str, wanted: &dyn Fn() -> String, found: &dyn Fn() -> String| {
            let known = match selects(&alone, subject, case.caller) {
                Truth::Yes => return,
                Truth::No => true,
                Truth::Unknown(_) => false,
            };
            unmet.push(Unmet { part, known, condition: Condition::new(field, wanted(), found()) });
        };
    let alone = Selector::default;
    let text = |fact: Fact<&str>| show(fact.map(str::to_owned));
    ask(
        Selector { issuers: to.issuers.clone(), ..alone() },
        Part::Issuer,
        "to.issuer",
        &|| to.issuers.join(", "),
        &|| text(subject.issuer),
    );
    ask(
        Selector { subjects: to.subjects.clone(), ..alone() },
        Part::Subjects(&to.subjects),
        "to.subjects",
        &|| joined(&to.subjects),
        &|| text(subject.id),
    );
    ask(
        Selector { agents: to.agents.clone(), ..alone() },
        Part::Agents(&to.agents),
        "to.agents",
        &|| joined(&to.agents),
        &|| text(subject.agent),
    );
    ask(
        Selector { groups: to.groups.clone(), ..alone() },
        Part::Groups(&to.groups),
        "to.groups",
        &|| joined(&to.groups),
        &|| spaced(subject.groups),
    );
    ask(
        Selector { servers: to.servers.clone(), ..alone() },
        Part::Servers,
        "to.servers",
        &|| to.servers.join(", "),
        &|| text(case.caller),
    );
    for (name, wanted) in &to.claims {
        ask(
            Selector { claims: [(name.clone(), wanted.clone())].into(), ..alone() },
            Part::Claim(name, wanted),
            &format!("to.claims.{name}"),
            &|| joined(wanted),
            &|| {
                show(subject.claims.map(|claims| {
                    let values = claims.iter().filter(|c| c.name == name).flat_map(|c| c.values.iter());
                    values.collect::<Vec<_>>().join(", ")
                }))
            },
        );
    }
    unmet
}

fn joined(globs: &[NameGlob]) -> String {
    globs.iter().map(NameGlob::as_str).collect::<Vec<_>>().join(", ")
}
