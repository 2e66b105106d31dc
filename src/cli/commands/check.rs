//! `doorward check`: is the policy sound?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::analyze::{Options, check_invariants, lint, served};
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::files;
use crate::cli::policy::PolicyArgs;
use crate::cli::request::pair;
use crate::cli::terminal::When;
use crate::cli::time::NowArg;
use crate::diagnostics::{Code, Diagnostic, Severity, did_you_mean, sort};
use crate::mcp::{Catalogue, Limits};
use crate::model::Timestamp;
use crate::policy::{Loaded, LoadedPolicy};
use crate::report::{Style, github, human, json, sarif, witness};

/// How to write the problems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// With excerpts, for a person
    #[default]
    Human,
    /// One JSON document
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands, for annotations on GitHub
    Github,
}

/// Check a policy: errors, warnings and invariants
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward check --deny-warnings --format github",
    after_help = "\
Exit codes:
  0  the policy can be used
  1  an invariant fails, or with --deny-warnings there is a warning
  2  the policy cannot be used or read, or an invariant was too large to prove"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    now: NowArg,
    /// What a server offers: the answer to its `tools/list`, `prompts/list` or `resources/list`; repeat for more pages and servers
    #[arg(long = "catalogue", value_name = "SERVER=FILE", value_parser = pair)]
    catalogues: Vec<(String, String)>,
    /// Take warnings for a no
    #[arg(long)]
    deny_warnings: bool,
    /// How to write the problems
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the problems to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Reports every problem.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let loaded = self.policy.read()?;
        let Findings { mut problems, unproved } = findings(&loaded, self.now.instant());
        if let Some(policy) = &loaded.policy {
            problems.extend(fit(policy, &self.catalogues)?);
            sort(&mut problems);
        }
        let text = match self.format {
            Format::Human => {
                let style = Style::new(self.output.is_none() && color.on_stdout());
                let next = if loaded.policy.is_some() && problems.is_empty() { "next: doorward test\n" } else { "" };
                human::check(&problems, &loaded.sources, style) + next
            }
            Format::Json => json::check(&problems, &loaded.sources),
            Format::Sarif => sarif::check(&problems, &loaded.sources),
            Format::Github => github::check(&problems, &loaded.sources),
        };
        let worst = |severity| problems.iter().any(|p| p.severity() == severity);
        let answer = if loaded.policy.is_none() || (unproved && !worst(Severity::Error)) {
            Answer::none(text)
        } else {
            let no = worst(Severity::Error) || (self.deny_warnings && worst(Severity::Warning));
            Answer::new(text, !no)
        };
        Ok(answer.to(self.output))
    }
}

/// Everything that can be found in a policy: what reading it found, and what analysis proves.
pub(super) struct Findings {
    /// The problems, sorted.
    pub(super) problems: Vec<Diagnostic>,
    /// Whether some invariant was too large to prove. It is neither a yes nor a no.
    pub(super) unproved: bool,
}

/// Looks for everything. What has expired at `now` is a warning.
pub(super) fn findings(loaded: &Loaded, now: Timestamp) -> Findings {
    let mut problems = loaded.problems.clone();
    let mut unproved = false;
    if let Some(policy) = &loaded.policy {
        let found = invariants(policy);
        unproved = found.iter().any(|p| p.code == Code::AnalysisLimit);
        problems.extend(found);
        problems.extend(lint(policy, now));
    }
    sort(&mut problems);
    Findings { problems, unproved }
}

/// What makes a policy unsound: its errors, and every invariant that is not proved.
#[cfg(feature = "guard")]
pub(in crate::cli) fn sound(loaded: &Loaded, now: Timestamp) -> Vec<Diagnostic> {
    let fatal = |p: &Diagnostic| p.severity() == Severity::Error || p.code == Code::AnalysisLimit;
    findings(loaded, now).problems.into_iter().filter(fatal).collect()
}

/// What of the policy does not fit what its servers offer.
fn fit(policy: &LoadedPolicy, given: &[(String, String)]) -> Result<Vec<Diagnostic>, Failure> {
    let mut catalogues: BTreeMap<&str, Catalogue> = BTreeMap::new();
    let servers = &policy.compiled.set().servers;
    for (server, file) in given {
        if !servers.contains_key(server) {
            let failure = Failure::new(Kind::UnknownName, format!("the policy declares no server `{server}`"));
            return Err(match did_you_mean(server, servers.keys().map(String::as_str)) {
                Some(near) => failure.help(format!("did you mean `{near}`?")),
                None => failure.help("write the name of a declared server, `=` and the file"),
            });
        }
        let bytes = files::read(Path::new(file), files::POLICY_LIMIT)?;
        let limits = Limits { bytes: bytes.len(), ..Limits::default() };
        catalogues.entry(server).or_default().add(&bytes, limits).map_err(|error| {
            Failure::new(Kind::BadInput, format!("`{file}` is not what a server offers: {error}"))
                .help("give the answer to `tools/list` as JSON, one file a page")
        })?;
    }
    Ok(catalogues.iter().flat_map(|(server, catalogue)| served(policy, server, catalogue)).collect())
}

/// The invariants that fail, and those about which nothing can be said.
fn invariants(policy: &LoadedPolicy) -> Vec<Diagnostic> {
    let declared = &policy.checks.invariants;
    let proof = check_invariants(&policy.compiled, declared, Options::default());
    let failed = proof.violations.iter().filter_map(|violation| {
        let invariant = declared.get(violation.invariant)?;
        let text =
            format!("invariant `{}` fails: `{}` is allowed by {}", invariant.name, violation.place, violation.grant);
        let grants = policy.compiled.positions().grants.iter().zip(&policy.spans.grants);
        let grant = grants.into_iter().find(|(position, _)| **position == violation.grant.position);
        let problem = Diagnostic::new(Code::InvariantFails, text)
            .at(invariant.span, "")
            .help(format!("see why: {}", witness::command(&violation.witness)));
        Some(match grant {
            Some((_, spans)) => problem.also(spans.head, "allowed here"),
            None => problem,
        })
    });
    let limited = proof.unanswered.iter().filter_map(|(number, unanswered)| {
        let invariant = declared.get(*number)?;
        let text =
            format!("invariant `{}` is not proved for `{}`: {}", invariant.name, unanswered.place, unanswered.limit);
        Some(
            Diagnostic::new(Code::AnalysisLimit, text)
                .at(invariant.span, "")
                .help("name fewer items or fewer conditions"),
        )
    });
    failed.chain(limited).collect()
}
