//! Argument rules that rule each other out.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cells::clusters;
use super::super::place::Place;
use super::super::view::Ask;
use super::super::{Budget, Limit};
use super::{Lint, called};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::model::Arguments;
use crate::policy::argument::ArgPath;
use crate::policy::matcher::Matcher;
use crate::policy::set::Statement;

/// Rules with how they are read: `true` for those of a deny.
type Read<'p> = (&'p ArgPath, &'p Matcher, bool);

/// The items that each statement has a say about.
type Covered<'a> = BTreeMap<usize, Vec<(&'a Place, &'a String)>>;

impl<'p> Lint<'p> {
    /// Rules of items, grants and denies that no arguments can meet.
    pub(super) fn conditions(&mut self) {
        let places: Vec<(Place, String)> =
            Place::all(self.view.set).into_iter().map(|p| (p.clone(), p.item())).collect();
        for (place, _) in &places {
            let rules = self.view.declared(place).into_iter().flat_map(|d| d.args.iter());
            let rules: Vec<Read<'p>> = rules.map(|(path, matcher)| (path, matcher, false)).collect();
            if let Some(path) = self.unmet(&rules, &[], place) {
                let message = format!("no value of `{path}` meets the rules of `{place}`");
                let problem = Diagnostic::new(Code::UnsatisfiableArgs, message)
                    .at(self.span_of(place), "")
                    .help("every call of it is refused: correct one of the rules");
                self.add(problem);
                self.unmet_places.insert(place.clone());
            }
        }
        let set = self.view.set;
        let (mut of_grants, mut of_denies): (Covered<'_>, Covered<'_>) = Default::default();
        for (place, item) in &places {
            let (grants, denies) = self.view.numbers(place);
            for (numbers, covered) in [(grants, &mut of_grants), (denies, &mut of_denies)] {
                for number in numbers {
                    covered.entry(number).or_default().push((place, item));
                }
            }
        }
        for (kind, statements, covered) in [("grant", &set.grants, of_grants), ("deny", &set.denies, of_denies)] {
            for (number, places) in covered {
                if let Some(statement) = statements.get(number).filter(|s| !s.args.is_empty()) {
                    self.statement(kind, number, statement, &places);
                }
            }
        }
    }

    fn statement(&mut self, kind: &str, number: usize, statement: &'p Statement, places: &[(&Place, &String)]) {
        let forbid = kind == "deny";
        let mut told: BTreeSet<String> = BTreeSet::new();
        for (place, item) in places.iter().copied() {
            if self.gave_up() {
                return;
            }
            let ask = Ask::statement(statement, number, &place.server, item, forbid);
            let rules: Vec<Read<'p>> = ask.rules.iter().map(|(path, matcher)| (*path, *matcher, forbid)).collect();
            let declared = self.view.declared(place).into_iter().flat_map(|d| d.args.iter());
            let own: Vec<Read<'p>> = declared.map(|(path, matcher)| (path, matcher, false)).collect();
            let Some(path) = self.unmet(&rules, &own, place) else { continue };
            if !told.insert(path.clone()) {
                continue;
            }
            if !forbid {
                self.unmet.insert(number);
            }
            let name = called(kind, statement.name.as_deref());
            let (message, help) = if self.unmet(&rules, &[], place).is_some() {
                (format!("no value of `{path}` meets the rules of {name}"), "correct one of the rules")
            } else {
                let message = format!("the rule of {name} on `{path}` is ruled out by that of `{place}` itself");
                (message, "correct one of the two: both must hold")
            };
            let spans = if forbid { &self.loaded.spans.denies } else { &self.loaded.spans.grants };
            let spans = spans.get(number);
            let rule = spans.and_then(|s| s.args.iter().find(|(_, at, _)| at.as_str() == path)).map(|(.., span)| *span);
            let span: Span = rule.or(spans.map(|s| s.head)).unwrap_or_default();
            let mut problem = Diagnostic::new(Code::UnsatisfiableArgs, message).at(span, "").help(help);
            if !own.is_empty() {
                problem = problem.also(self.span_of(place), "declared here");
            }
            self.add(problem);
        }
    }

    /// A path of the rules for which no arguments meet all of them together with `own`, if there is
    /// one.
    fn unmet(&mut self, rules: &[Read<'p>], own: &[Read<'p>], place: &Place) -> Option<String> {
        if rules.is_empty() {
            return None;
        }
        match unmet(rules, own, self.options.steps) {
            Ok(path) => path,
            Err(limit) => {
                self.open("the argument rules could not be compared", place, &limit);
                None
            }
        }
    }
}

fn unmet(rules: &[Read<'_>], own: &[Read<'_>], steps: u64) -> Result<Option<String>, Limit> {
    let mut budget = Budget::new(steps);
    let all = || rules.iter().chain(own);
    for cluster in clusters(all().map(|(path, matcher, _)| (*path, *matcher)), &mut budget)? {
        let here = |path: &ArgPath| {
            path.pointer() == cluster.root || super::super::cells::lies_under(path.pointer(), &cluster.root)
        };
        let can_be_met = |about: &dyn Fn(&ArgPath) -> bool| {
            cluster.objects.iter().any(|object| {
                let arguments = Arguments::known(object);
                all().filter(|(path, ..)| about(path)).all(|(path, matcher, forbid)| {
                    let ask = Ask { number: 0, to: None, expires: None, rules: Vec::new(), forbid: *forbid };
                    ask.meets(path.answer(&arguments, matcher))
                })
            })
        };
        if can_be_met(&here) {
            continue;
        }
        let mut paths = rules.iter().map(|(path, ..)| *path).filter(|path| here(path));
        let first = paths.clone().next();
        // The one at fault by itself, or else one of those that only fail together.
        let path = paths.find(|path| !can_be_met(&|other| other == *path)).or(first);
        if let Some(path) = path {
            return Ok(Some(path.as_str().to_owned()));
        }
    }
    Ok(None)
}
