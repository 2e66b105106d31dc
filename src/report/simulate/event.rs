//! One event of the traffic with its three answers and the path to each, for people and as JSON
//! (`doorward.event/v1`). For the operator: argument values are shown as they were recorded, but for secrets.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use super::{Cell, Columns, Style, answer, pretty};
use crate::model::{Request, RuleKind};
use crate::pdp::{Condition, Explanation, Outcome};
use crate::policy::mask_secrets;
use crate::report::explain;
use crate::report::text::harmless;
use crate::simulate::{Answer, Examined, Terms};
use crate::traffic::{Event, Place, line, mask_value};

/// The schema of the JSON form.
pub const SCHEMA: &str = "doorward.event/v1";

/// One event and all that is said of it.
#[derive(Debug)]
pub struct Told<'a> {
    /// The recording.
    pub source: &'a str,
    /// The place in it.
    pub place: Place,
    /// The event as it was recorded.
    pub event: &'a Event,
    /// Its answers.
    pub examined: &'a Examined,
    /// What was asked.
    pub terms: &'a Terms,
    /// The baseline, where there is one.
    pub baseline: Option<ToldSide<'a>>,
    /// The candidate.
    pub candidate: ToldSide<'a>,
}

/// What one policy says of it.
#[derive(Debug)]
pub struct ToldSide<'a> {
    /// The digest of the policy.
    pub digest: String,
    /// The path of its decision.
    pub explanation: Explanation<'a>,
    /// The request that it judged.
    pub request: Request<'a>,
}

impl ToldSide<'_> {
    /// The first condition that did not hold, in one line. Of grants, none of which applies, that of
    /// the one that came nearest: what is not known first, then what only its arguments failed.
    fn failed_first(&self) -> Option<String> {
        let check = self.explanation.checks.iter().find(|check| check.outcome != Outcome::Yes)?;
        let shown = |of: &str, Condition { field, wanted, found }: &Condition| {
            format!("{field}{of} asks for {wanted}, has {}", if found.is_empty() { "none" } else { found })
        };
        if check.condition.field != "grants" {
            return Some(shown("", &check.condition));
        }
        let grants = self.explanation.statements.iter().filter(|one| one.rule.kind == RuleKind::Grant);
        let nearest = grants
            .filter_map(|one| Some((one, one.condition.as_ref()?)))
            .min_by_key(|(one, condition)| (one.outcome != Outcome::Unknown, !condition.field.starts_with("args")));
        Some(match nearest {
            Some((one, condition)) => shown(&format!(" of grant {}", one.rule.name), condition),
            None => shown("", &check.condition),
        })
    }
}

/// For people.
pub fn human(told: &Told<'_>, style: Style) -> String {
    let mut out = String::new();
    let place = format!("{}:{}", harmless(told.source), told.place);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}  {}\n", style.strong(place), told.event.time);
    let mut table = Columns::new(2);
    let mut row = |column: &str, said: &Answer, first: Option<String>| {
        table.row([
            Cell::text(column),
            Cell::strong(answer(said)),
            Cell::faint(first.map(|f| harmless(&f).into_owned()).unwrap_or_default()),
        ]);
    };
    row("recorded", &told.examined.recorded, None);
    if let (Some(side), Some(said)) = (&told.baseline, &told.examined.baseline) {
        row("baseline", said, side.failed_first());
    }
    row("candidate", &told.examined.candidate, told.candidate.failed_first());
    out.push_str(&table.render(style));
    let _ = writeln!(out, "\n{}", style.strong(told.examined.class.as_str().replace('-', " ")));
    if told.examined.drifted {
        let _ = writeln!(out, "{}: the policy that decided it, being here, answers otherwise", style.bad("drift"));
    }
    for asked in &told.terms.what_if {
        let _ = writeln!(out, "what if  {}", harmless(asked));
    }
    let _ = writeln!(out, "\n{}", style.strong("the request as recorded"));
    for part in pretty(&recorded(told.event)).lines() {
        let _ = writeln!(out, "  {}", harmless(part));
    }
    if let Some(side) = &told.baseline {
        let _ = writeln!(out, "\n{}", style.strong("the baseline"));
        out.push_str(&explain::human(&side.explanation, &side.request, style));
    }
    let _ = writeln!(out, "\n{}", style.strong("the candidate"));
    out.push_str(&explain::human(&told.candidate.explanation, &told.candidate.request, style));
    // Line by line: a key that is cut short must not hide what stands below it.
    out.split_inclusive('\n').map(mask_secrets).collect()
}

/// The JSON form.
pub fn json(told: &Told<'_>) -> String {
    #[derive(Serialize)]
    struct Whole<'a> {
        schema: &'static str,
        source: &'a str,
        place: Place,
        terms: &'a Terms,
        class: &'static str,
        drift: bool,
        recorded: &'a Answer,
        #[serde(skip_serializing_if = "Option::is_none")]
        baseline: Option<Side<'a>>,
        candidate: Side<'a>,
        event: Value,
    }
    #[derive(Serialize)]
    struct Side<'a> {
        #[serde(flatten)]
        answer: &'a Answer,
        #[serde(skip_serializing_if = "Option::is_none")]
        failed_first: Option<String>,
        explanation: Value,
    }
    let side = |side: &'_ ToldSide<'_>| -> (Option<String>, Value) {
        let text = explain::json(&side.explanation, &side.digest);
        let mut explanation = serde_json::from_str(&text).unwrap_or_default();
        mask_value(&mut explanation);
        (side.failed_first().map(|text| mask_secrets(&text).into_owned()), explanation)
    };
    let baseline = told.baseline.as_ref().zip(told.examined.baseline.as_ref()).map(|(policy, answer)| {
        let (failed_first, explanation) = side(policy);
        Side { answer, failed_first, explanation }
    });
    let (failed_first, explanation) = side(&told.candidate);
    pretty(&Whole {
        schema: SCHEMA,
        source: told.source,
        place: told.place,
        terms: told.terms,
        class: told.examined.class.as_str(),
        drift: told.examined.drifted,
        recorded: &told.examined.recorded,
        baseline,
        candidate: Side { answer: &told.examined.candidate, failed_first, explanation },
        event: recorded(told.event),
    })
}

/// The event as a recording holds it, without secrets: what was withheld is listed in it.
fn recorded(event: &Event) -> Value {
    let mut event = event.clone();
    // What it cannot be without is masked below.
    let _ = event.redact();
    let mut value = line(&event).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    mask_value(&mut value);
    value
}
