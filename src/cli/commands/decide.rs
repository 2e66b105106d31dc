//! `doorward decide`: one request, one answer.

use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::policy::PolicyArgs;
use crate::cli::request::AskArgs;
use crate::cli::terminal::When;
use crate::cli::what_if::WhatIfArgs;
use crate::model::Decision;
use crate::pdp::decide;
use crate::report::{Style, decision};
use crate::traffic::{Decided, DecidedRule, Event, line};

/// How to write the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A few lines
    #[default]
    Human,
    /// One JSON document
    Json,
    /// The request and what was decided, as one line of a recording; the exit code is 0
    Event,
}

/// Decide one request
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Example:
  doorward decide --sub ana --groups support --agent desk-assistant --scope tickets:refund \\
      tickets:refund --args '{\"amount\":20,\"currency\":\"EUR\",\"ticket\":\"T-1\"}'
  doorward decide --request event.json")]
#[command(override_usage = "doorward decide [OPTIONS] CALL\n       doorward decide [OPTIONS] --request FILE")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the answer to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    ask: AskArgs,
    #[command(flatten)]
    what_if: WhatIfArgs,
}

impl Args {
    /// Exit code 0 for allow, 1 for deny.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let opened = self.policy.texts()?.open(&self.what_if.together()?, color)?;
        let policy = &opened.compiled;
        let event = self.ask.event(policy)?;
        let claims = event.claims();
        let decision = decide(policy, &event.request(&claims));
        let text = match self.format {
            Format::Human => {
                let style = Style::new(self.output.is_none() && color.on_stdout());
                decision::human(&decision, style)
            }
            Format::Json => decision::json(&decision, &policy.digest().to_string()),
            Format::Event => {
                let decided = decided(&decision, policy.digest().to_string());
                let text = line(&Event { decided: Some(decided), ..event.clone() })
                    .map_err(|e| Failure::new(Kind::BadInput, format!("the request has no JSON form: {e}")))?;
                return Ok(Answer::yes(format!("{text}\n")).to(self.output));
            }
        };
        Ok(Answer::new(text, decision.is_allow()).to(self.output))
    }
}

/// The decision as a recording keeps it.
fn decided(decision: &Decision<'_>, digest: String) -> Decided {
    let rule = decision.rule.map(|rule| DecidedRule { kind: rule.kind, name: rule.name.to_owned() });
    Decided { effect: decision.effect, reason: decision.reason, rule, digest }
}
