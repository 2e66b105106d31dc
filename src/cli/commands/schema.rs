//! `doorward schema`: what an editor needs to complete and check `policies.toml`.

use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::report::schema::policy_schema;

/// Print the JSON Schema of the policy language
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward schema --output policies.schema.json",
    after_help = "An editor uses it when the first line of the policy is `#:schema ./policies.schema.json`."
)]
pub(in crate::cli) struct Args {
    /// Write the schema to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Writes the schema.
    pub(in crate::cli) fn run(self) -> Result<Answer, Failure> {
        let text = serde_json::to_string_pretty(&policy_schema())
            .map_err(|e| Failure::new(Kind::BadInput, format!("the schema has no JSON form: {e}")))?;
        Ok(Answer::yes(text + "\n").to(self.output))
    }
}
