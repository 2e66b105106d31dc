//! `doorward test`: does the policy say what was meant?

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::policy::{PolicyArgs, bad};
use crate::cli::terminal::When;
use crate::policy::checks::PolicyTest;
use crate::report::{Style, suite as rendered};
use crate::simulate::suite;

/// How to write the results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a person
    #[default]
    Human,
    /// One JSON document
    Json,
    /// JUnit XML
    Junit,
}

/// Run the inline tests of a policy
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward test --coverage --threshold 90",
    after_help = "\
What a test does not list must be denied, unless it says `others = \"any\"`.
A grant or deny is covered when it decided a request of a test, a tool, prompt or resource when a test named it.

Exit codes:
  0  every test passed, and the coverage is as asked
  1  a test failed, or too little is covered
  2  the policy cannot be used, or there is no test to run"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Run only the tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Show what no test covers
    #[arg(long)]
    coverage: bool,
    /// The least per cent of the policy that must be covered
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    threshold: Option<u8>,
    /// How to write the results
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the results to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Exit code 0 when all passed.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let loaded = self.policy.read()?;
        let Some(policy) = &loaded.policy else {
            return Err(bad(&loaded.problems, &loaded.sources, color));
        };
        let chosen = self.chosen(&policy.checks.tests)?;
        let result = suite::run(&policy.compiled, &chosen, &loaded.sources);
        let percent = result.coverage.percent();
        let enough = self.threshold.is_none_or(|least| percent >= least);
        let text = match self.format {
            Format::Human => {
                let style = Style::new(self.output.is_none() && color.on_stdout());
                let mut text = rendered::human(&result, self.coverage || !enough, style);
                if let Some(least) = self.threshold.filter(|_| !enough) {
                    // Writing to a string does not fail.
                    let _ = writeln!(text, "{}: {percent} % is covered and {least} % must be", style.bad("too little"));
                }
                text
            }
            Format::Json => rendered::json(&result),
            Format::Junit => rendered::junit(&self.suite_name(), &result),
        };
        Ok(Answer::new(text, result.passed() && enough).to(self.output))
    }

    fn chosen(&self, tests: &[PolicyTest]) -> Result<Vec<PolicyTest>, Failure> {
        if tests.is_empty() {
            return Err(Failure::new(Kind::NothingToDo, "the policy has no tests")
                .help("write one under `[[tests]]`; `doorward init -` shows how"));
        }
        let Some(filter) = &self.filter else {
            return Ok(tests.to_vec());
        };
        let chosen: Vec<PolicyTest> = tests.iter().filter(|test| test.name.contains(filter)).cloned().collect();
        if chosen.is_empty() {
            return Err(Failure::new(Kind::NothingToDo, format!("no test has `{filter}` in its name"))
                .help("`doorward test` without --filter lists the names"));
        }
        Ok(chosen)
    }

    /// What a CI server calls the suite.
    fn suite_name(&self) -> String {
        self.policy.policy.as_ref().map_or_else(|| "policies.toml".to_owned(), |p| p.display().to_string())
    }
}
