//! `doorward schema`: what an editor needs to complete and check `policies.toml`, and what a program
//! needs to read a report.

use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::report::schema::{
    matrix_schema, part_schema, policy_schema, reload_schema, scenarios_schema, simulation_schema, status_schema,
    suggestion_schema,
};

/// What to describe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Of {
    /// `policies.toml`
    #[default]
    Policy,
    /// The JSON report of `simulate`
    Simulation,
    /// The JSON report of `simulate --matrix`
    Matrix,
    /// The JSON report of `simulate` on scenarios
    Scenarios,
    /// What `simulate --shard` writes, and `simulate merge` reads
    Part,
    /// The JSON report of `suggest`
    Suggestion,
    /// The JSON answer of `status`
    Status,
    /// The JSON answer of `reload`, and the report that the gateway keeps
    Reload,
}

/// Print the JSON Schema of the policy language or of a report
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  doorward schema --output policies.schema.json\n  doorward schema --of simulation",
    after_help = "An editor uses it when the first line of the policy is `#:schema ./policies.schema.json`."
)]
pub(in crate::cli) struct Args {
    /// What to describe
    #[arg(long, value_name = "WHAT", default_value = "policy")]
    of: Of,
    /// Write the schema to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Writes the schema.
    pub(in crate::cli) fn run(self) -> Result<Answer, Failure> {
        let schema = match self.of {
            Of::Policy => policy_schema(),
            Of::Simulation => simulation_schema(),
            Of::Matrix => matrix_schema(),
            Of::Scenarios => scenarios_schema(),
            Of::Part => part_schema(),
            Of::Suggestion => suggestion_schema(),
            Of::Status => status_schema(),
            Of::Reload => reload_schema(),
        };
        let text = serde_json::to_string_pretty(&schema)
            .map_err(|e| Failure::new(Kind::BadInput, format!("the schema has no JSON form: {e}")))?;
        Ok(Answer::yes(text + "\n").to(self.output))
    }
}
