//! `doorward explain`: the page of a code or reason, or why one request is decided as it is.

use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::report::pages;

/// Explain a code, a reason, or the decision of one request
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  doorward explain shadowed-grant
  doorward explain --sub ana --groups support --scope tickets:refund tickets:refund --arg amount=60")]
pub(in crate::cli) struct Args {
    code: String,
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Prints the page.
    pub(in crate::cli) fn run(self) -> Result<Answer, Failure> {
        page(&self.code).map(|text| Answer::yes(text).to(self.output))
    }
}

fn page(code: &str) -> Result<&'static str, Failure> {
    pages::page(code).ok_or_else(|| {
        let failure = Failure::new(Kind::UnknownName, format!("`{code}` is no code, no reason and no call"));
        match pages::nearest(code) {
            Some(near) => failure.help(format!("did you mean `{near}`?")),
            None => failure.help("a call is `SERVER:TOOL`; `doorward explain codes` lists the codes"),
        }
    })
}
