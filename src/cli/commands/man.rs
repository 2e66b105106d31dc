//! `doorward man`: the command line as manual pages.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap_mangen::Man;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::files::Output;

/// Print the manual page, or write the page of every command
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  doorward man | man -l -
  doorward man --output /usr/local/share/man/man1")]
pub(in crate::cli) struct Args {
    /// Write the page of every command to this directory
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
}

impl Args {
    /// Writes the pages.
    pub(in crate::cli) fn run(self) -> Result<Answer, Failure> {
        let mut command = crate::cli::command();
        command.build();
        match self.output {
            None => String::from_utf8(page(command)?).map(Answer::yes).map_err(|_| unwritable()),
            Some(directory) => write(&command, &directory).map(|()| Answer::yes("")),
        }
    }
}

/// The page of a command and of all below it.
fn write(command: &clap::Command, directory: &Path) -> Result<(), Failure> {
    if command.is_hide_set() || command.get_name() == "help" {
        return Ok(());
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = directory.join(format!("{name}.1"));
    let mut output = Output::file(&path, true)?;
    output.write_all(&page(command.clone())?).map_err(|e| Failure::writing(&path, &e))?;
    output.finish()?;
    command.get_subcommands().try_for_each(|below| write(below, directory))
}

fn page(command: clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page).map_err(|_| unwritable())?;
    Ok(page)
}

fn unwritable() -> Failure {
    Failure::new(Kind::BadInput, "the manual page cannot be written")
}
