//! `doorward reload`: tells a running gateway to take the policy that lies in its files now.

use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::gateway::GatewayArgs;
use crate::cli::policy::PolicyArgs;
use crate::cli::terminal::When;
use crate::report::status::{Attempt, Reloaded, answer, reloaded};

/// How to write the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a person
    #[default]
    Human,
    /// One JSON document
    Json,
}

/// Tell a running gateway to take the policy that lies in its files now
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward reload
  doorward reload --revoke
  doorward reload --gateway 127.0.0.1:8788 --admin-token file:admin.token",
    after_help = "\
The gateway reads its own files, rehearses what they say and takes it when the gate holds. A gateway that watches
its files does so by itself.

Exit codes:
  0  the policy is in force
  1  it stays out, and the one before stays in force
  2  the gateway gives no answer"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
    /// Take it also when it denies what the traffic uses, if it is proved to allow nothing that is denied now
    #[arg(long)]
    revoke: bool,
    /// How to write the answer
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the answer to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Exit code 0 when the policy is in force, 1 when it stays out.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let path = if self.revoke { "/v1/reload?revoke" } else { "/v1/reload" };
        let bytes = self.gateway.find(&self.policy, color)?.post(path)?;
        let attempt: Attempt = serde_json::from_slice(&bytes).map_err(|e| {
            Failure::new(Kind::Gateway, format!("the answer cannot be read: {e}"))
                .help("use the version of doorward that the gateway has")
        })?;
        let text = match self.format {
            Format::Human => reloaded(&attempt),
            Format::Json => answer(&attempt),
        };
        Ok(Answer::new(text, attempt.result != Reloaded::Refused).to(self.output))
    }
}
