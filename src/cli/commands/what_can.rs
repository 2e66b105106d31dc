//! `doorward what-can`: everything that a subject can do.

use std::path::PathBuf;

use super::who_can::Format;
use crate::analyze::{Options, what_can};
use crate::cli::answer::Answer;
use crate::cli::failure::Failure;
use crate::cli::policy::PolicyArgs;
use crate::cli::request::SubjectArgs;
use crate::cli::terminal::When;
use crate::cli::time::NowArg;
use crate::report::{Style, access};

/// Show what a subject can do
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward what-can --groups contractor
  doorward what-can --sub ana --groups support --agent desk-assistant --scope 'tickets:read'",
    after_help = "\
What is not given can be anything: without --groups the subject may be in every group. What is given empty, as
--groups '', is nothing. The answer is exact.

Exit codes:
  0  the subject can do something
  1  it can do nothing
  2  the policy cannot be used, or the question was too large to answer"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    now: NowArg,
    /// Show a request for each grant
    #[arg(long)]
    requests: bool,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the answer to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    who: SubjectArgs,
    /// Scopes of the token, with spaces between
    #[arg(long, value_name = "SCOPES", value_delimiter = ' ')]
    scope: Vec<String>,
}

impl Args {
    /// Asks about every item.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let opened = self.policy.open(color)?;
        let policy = &opened.compiled;
        if self.who.issuer.is_some() {
            self.who.issuer(policy.set())?;
        }
        let options = Options { from: Some(self.now.instant()), ..Options::default() };
        let found = what_can(policy, &self.who.known(&self.scope), options);
        let text = match self.format {
            Format::Human => {
                access::human(&found, self.requests, Style::new(self.output.is_none() && color.on_stdout()))
            }
            Format::Json => access::json(&found, &policy.digest().to_string()),
        };
        let something = !found.items.is_empty();
        let answer =
            if !something && !found.unanswered.is_empty() { Answer::none(text) } else { Answer::new(text, something) };
        Ok(answer.to(self.output))
    }
}
