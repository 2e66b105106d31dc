//! `doorward completions`: what a shell needs to complete the command line.

use clap_complete::{Shell, generate};

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  doorward completions bash > /etc/bash_completion.d/doorward")]
pub(in crate::cli) struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    /// Writes the script.
    pub(in crate::cli) fn run(self) -> Result<Answer, Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut crate::cli::command(), "doorward", &mut script);
        String::from_utf8(script)
            .map(Answer::yes)
            .map_err(|_| Failure::new(Kind::BadInput, "the completion script is not UTF-8"))
    }
}
