//! `doorward explain`: the page of a code or reason, or why one request is decided as it is.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
#[cfg(feature = "gateway")]
use crate::cli::gateway::GatewayArgs;
use crate::cli::policy::PolicyArgs;
use crate::cli::request::AskArgs;
use crate::cli::terminal::When;
use crate::cli::what_if::WhatIfArgs;
use crate::diagnostics::did_you_mean;
use crate::pdp;
use crate::policy::CompiledPolicy;
use crate::report::{Style, explain, pages};

/// How to write the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a person
    #[default]
    Human,
    /// One JSON document
    Json,
}

/// Explain a code, a reason, or the decision of one request
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward explain shadowed-grant
  doorward explain codes
  doorward explain --sub ana --groups support --scope tickets:refund tickets:refund --arg amount=60",
    after_help = "\
CALL may also be the code of a problem, of a reason or of a failure, which prints its page, or `codes` for a list.
The explanation shows argument values: it is for whoever owns the policy, not for the caller.

Exit codes: 0 allow, or a page; 1 deny; 2 there is no answer",
    override_usage = "doorward explain CODE\n       doorward explain [OPTIONS] CALL\n       doorward explain [OPTIONS] --request FILE"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    #[cfg(feature = "gateway")]
    #[command(flatten)]
    gateway: GatewayArgs,
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
    /// Exit code 0 for allow and for a page, 1 for deny.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        if let Some(name) = self.ask.word() {
            return Ok(Answer::yes(page(name)?).to(self.output));
        }
        let policy = &self.judging(color)?;
        let event = self.ask.event(policy)?;
        let claims = event.claims();
        let request = event.request(&claims);
        let decision = pdp::decide(policy, &request);
        let path = pdp::explain(policy, &request);
        let text = match self.format {
            Format::Human => explain::human(&path, &request, Style::new(self.output.is_none() && color.on_stdout())),
            Format::Json => explain::json(&path, &policy.digest().to_string()),
        };
        Ok(Answer::new(text, decision.is_allow()).to(self.output))
    }
}

impl Args {
    /// The policy that is asked: that of a running gateway, or that in the files, with the what-ifs.
    fn judging(&self, color: When) -> Result<CompiledPolicy, Failure> {
        #[cfg(feature = "gateway")]
        if self.gateway.is_named() {
            if !self.what_if.is_empty() {
                return Err(Failure::new(Kind::Usage, "a running gateway is asked about the policy that it enforces")
                    .help("leave out --gateway to ask what-if"));
            }
            return self.gateway.find(&self.policy, color)?.policy();
        }
        Ok(self.policy.texts()?.open(&self.what_if.together()?, color)?.compiled)
    }
}

/// The page of a code, a reason or a failure, or the list of them.
fn page(name: &str) -> Result<String, Failure> {
    if name == "codes" {
        let mut list = String::new();
        for (name, text) in index() {
            // Writing to a string does not fail.
            let _ = writeln!(list, "{name:<24} {text}");
        }
        return Ok(list);
    }
    // A policy and a file around it can be too large: then both pages are of use.
    let pages: Vec<&str> = pages::page(name).into_iter().chain(Kind::parse(name).map(Kind::page)).collect();
    if !pages.is_empty() {
        return Ok(pages.join("\n"));
    }
    let failure = Failure::new(Kind::UnknownName, format!("`{name}` is no code, no reason and no call"));
    Err(match did_you_mean(name, index().map(|(known, _)| known)) {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None => failure.help("a call is `SERVER:TOOL`; `doorward explain codes` lists the codes"),
    })
}

/// Every name that has a page with its one-line meaning: problems, reasons, failures.
fn index() -> impl Iterator<Item = (&'static str, &'static str)> {
    pages::index().chain(Kind::ALL.iter().map(|kind| (kind.code(), kind.summary())))
}
