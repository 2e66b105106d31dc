//! `doorward init`: a starter policy that denies by default and passes its own tests.

use std::io::Write;
use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::failure::Failure;
use crate::cli::files::Output;

/// What is written.
pub(in crate::cli) const STARTER: &str = include_str!("starter.toml");

/// Write a commented starter policy
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  doorward init && doorward check && doorward test")]
pub(in crate::cli) struct Args {
    /// Where to write it; `-` for stdout
    #[arg(value_name = "FILE", default_value = "policies.toml")]
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

impl Args {
    /// Writes the file, whole or not at all.
    pub(in crate::cli) fn run(self) -> Result<Answer, Failure> {
        if crate::cli::files::is_stdin(&self.file) {
            return Ok(Answer::yes(STARTER));
        }
        let mut output = Output::file(&self.file, self.force)?;
        output.write_all(STARTER.as_bytes()).map_err(|e| Failure::writing(&self.file, &e))?;
        output.finish()?;
        Ok(Answer::yes(format!("wrote `{}`; next: doorward check && doorward test\n", self.file.display())))
    }
}
