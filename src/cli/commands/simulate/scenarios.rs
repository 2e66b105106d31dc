//! The scenarios beside a policy: each is rehearsed and held against what it expects.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::answer::{AnswerArgs, Format};
use super::find::find;
use super::question::Question;
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::files;
use crate::cli::policy::PolicyArgs;
use crate::cli::rehearsal::{self, Plan};
use crate::cli::sources::SourceArgs;
use crate::cli::terminal::When;
use crate::cli::what_if::WhatIfArgs;
use crate::diagnostics::Sources;
use crate::model::Position;
use crate::report::scenarios::{self as rendered, Ran, Result as Outcome};
use crate::report::{Style, human};
use crate::simulate::scenario::{self, Mismatch, Scenario};
use crate::simulate::{Clock, Part, Select, examine, gate};
use crate::traffic::fieldmap;

/// Where scenarios are looked for, beside the policy.
const DIRECTORY: &str = "simulations";

/// The scenarios beside the policy, sorted; none when there is no such directory or no policy.
pub(super) fn beside(policy: &PolicyArgs) -> Result<Vec<PathBuf>, Failure> {
    let Some(directory) = policy.directory()? else { return Ok(Vec::new()) };
    let directory = directory.join(DIRECTORY);
    let Ok(entries) = std::fs::read_dir(&directory) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Failure::reading(&directory, &e))?.path();
        if path.extension().is_some_and(|ending| ending == "toml") && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Runs scenarios. Exit code 0 when all are as expected, 1 when one is not, 2 when one could not be run.
pub(super) fn run(
    paths: &[PathBuf],
    policy: &PolicyArgs,
    answer: AnswerArgs,
    threads: usize,
    color: When,
) -> Result<Answer, Failure> {
    if matches!(answer.format, Format::Sarif | Format::Markdown | Format::Html) || !answer.reports.is_empty() {
        return Err(no_format());
    }
    let results: Vec<Outcome> = paths.iter().map(|path| one(path, policy, threads, color)).collect();
    let text = match answer.format {
        Format::Json => rendered::json(&results),
        Format::Junit => rendered::junit(&results),
        Format::Github => rendered::github(&results),
        _ => rendered::human(&results, Style::new(answer.output.is_none() && color.on_stdout())),
    };
    // What failed has failed, whatever could not be run besides.
    let failed = results.iter().any(|result| !result.passed() && !result.could_not());
    let answered = if failed {
        Answer::new(text, false)
    } else if results.iter().any(Outcome::could_not) {
        Answer::none(text)
    } else {
        Answer::yes(text)
    };
    Ok(answered.to(answer.output))
}

fn no_format() -> Failure {
    Failure::new(Kind::Usage, "scenarios are reported as `human`, `json`, `junit` or `github`")
        .help("take one of these with --format, or name recordings for the report of one rehearsal")
}

fn one(path: &Path, policy: &PolicyArgs, threads: usize, color: When) -> Outcome {
    let name = files::display_name(path);
    let mut sources = Sources::default();
    let begin = Position { file: name.as_str().into(), line: 1, column: 1 };
    let could_not = |name: &str, at: &Position, why: String| Outcome {
        name: name.to_owned(),
        at: at.clone(),
        events: 0,
        outcome: Ran::CouldNot(why),
    };
    let bytes = match files::read(path, files::POLICY_LIMIT) {
        Ok(bytes) => bytes,
        Err(failure) => return could_not(&name, &begin, failure.to_string()),
    };
    let scenario = match scenario::load(&name, &bytes, &mut sources) {
        Ok(scenario) => scenario,
        Err(problems) => {
            return could_not(&name, &begin, human::check(&problems, &sources, Style::PLAIN));
        }
    };
    let at = sources.position(scenario.at);
    match rehearse(path, &scenario, policy, &sources, threads, color) {
        Ok((events, mismatches)) => Outcome { name: scenario.name, at, events, outcome: Ran::Judged(mismatches) },
        Err(failure) => could_not(&scenario.name, &at, failure.to_string()),
    }
}

fn rehearse(
    path: &Path,
    scenario: &Scenario,
    policy: &PolicyArgs,
    sources: &Sources,
    threads: usize,
    color: When,
) -> Result<(u64, Vec<Mismatch>), Failure> {
    let plan = Plan::of(&question(path, scenario, policy), color)?;
    let report = rehearsal::rehearse(&plan, None, threads)?.into_iter().next().map(Part::finish);
    let (Some(report), Some(candidate)) = (report, plan.candidates.first()) else {
        return Err(Failure::new(Kind::NothingToDo, "there is no policy to rehearse"));
    };
    let wanted: Vec<Select> = scenario.events.iter().map(|event| event.select.clone()).collect();
    let found = if wanted.is_empty() { Vec::new() } else { find(&plan.traffic, &wanted)?.found };
    let examined: Vec<_> = found
        .iter()
        .map(|found| {
            found.as_ref().map(|found| {
                let claims = found.event.claims();
                examine(&candidate.policy, plan.baseline.as_ref(), &plan.terms, &found.event.observe(&claims))
            })
        })
        .collect();
    let verdict = gate(&plan.rollout, &report);
    Ok((report.totals.events, scenario.judge(&report, &verdict, &examined, sources)))
}

/// The scenario as flags would ask it, with its paths from its own directory.
fn question(path: &Path, scenario: &Scenario, policy: &PolicyArgs) -> Question {
    let directory = path.parent().unwrap_or(Path::new(""));
    let beside = |text: &String| if text.starts_with("git:") { PathBuf::from(text) } else { directory.join(text) };
    let named = |name: &String| {
        let known = matches!(name.as_str(), "recording" | "chat") || fieldmap::shipped(name).is_some();
        if known { name.clone() } else { beside(name).to_string_lossy().into_owned() }
    };
    let [set, drop_grant, drop_deny, drop_scope] = scenario.what_ifs.clone();
    let (shift, at) = match scenario.clock {
        Clock::AsRecorded => (None, None),
        Clock::Shifted { seconds } => (Some(seconds), None),
        Clock::At { instant } => (None, Some(instant)),
    };
    let policy = PolicyArgs {
        policy: scenario.policy.as_ref().map(|text| OsString::from(beside(text))).or_else(|| policy.policy.clone()),
        profile: scenario.profile.clone().or_else(|| policy.profile.clone()),
    };
    Question {
        policy,
        baseline: scenario.baseline.as_ref().map(beside),
        source: SourceArgs::new(scenario.from.as_ref().map(named), scenario.mapping.as_ref().map(beside)),
        what_if: WhatIfArgs { set, drop_grant, drop_deny, drop_scope },
        matrix: false,
        shift,
        at,
        since: None,
        until: None,
        recordings: scenario.recordings.iter().map(beside).collect(),
    }
}
