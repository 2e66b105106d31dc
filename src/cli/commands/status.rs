//! `doorward status`: what a running gateway says of itself.

use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::gateway::GatewayArgs;
use crate::cli::policy::PolicyArgs;
use crate::cli::terminal::When;
use crate::report::status::{Status, human, json};

/// How to write the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a person
    #[default]
    Human,
    /// One JSON document
    Json,
}

/// Show which policy a running gateway enforces, and how it fares
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward status
  doorward status --gateway unix:/run/doorward/admin.sock --format json",
    after_help = "\
Exit codes:
  0  it is ready for requests
  1  it is not, and says why
  2  it gives no answer"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the answer to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Exit code 0 when it is ready, 1 when it is not.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let bytes = self.gateway.find(&self.policy, color)?.get("/v1/status")?;
        let status: Status = serde_json::from_slice(&bytes).map_err(|e| {
            Failure::new(Kind::Gateway, format!("the status cannot be read: {e}"))
                .help("use the version of doorward that the gateway has")
        })?;
        let text = match self.format {
            Format::Human => human(&status),
            Format::Json => json(&status),
        };
        Ok(Answer::new(text, status.ready).to(self.output))
    }
}
