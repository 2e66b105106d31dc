//! The commands: one file each, and around them files, environment, terminal and exit codes.
//!
//! This is the only layer that reads a file, the environment or the clock. It never decides and
//! never renders a decision: the core answers, `report` writes the answer down, and a command puts
//! it where it was asked to. Nothing here panics; what cannot be answered is a `Failure`.

mod answer;
#[cfg(feature = "guard")]
mod attestation;
#[cfg(feature = "store")]
mod audit_log;
#[cfg(feature = "gateway")]
mod candidate;
mod columns;
mod commands;
#[cfg(feature = "store")]
mod decisions;
mod demo;
mod failure;
mod files;
#[cfg(feature = "gateway")]
mod gateway;
mod git;
mod inputs;
mod interrupt;
#[cfg(feature = "guard")]
mod keyfile;
#[cfg(feature = "gateway")]
mod keys;
#[cfg(feature = "gateway")]
mod last_traffic;
#[cfg(feature = "gateway")]
mod log;
mod policy;
mod reference;
mod rehearsal;
mod request;
#[cfg(feature = "vault")]
mod secrets;
mod sources;
mod stream;
mod terminal;
mod time;
mod what_if;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser};

pub use reference::reference;

use answer::Answer;
use commands::Command;
use failure::{Failure, Kind};
use terminal::When;

/// A guard for MCP servers: decide, explain and rehearse who may call what
#[derive(Debug, Parser)]
#[command(
    name = "doorward",
    version,
    before_help = EXAMPLES,
    after_help = EXIT_CODES,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    /// When to colour
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    color: When,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  doorward simulate --demo          rehearse the built-in policy on a built-in recording
  doorward init                     write a starter policies.toml
  doorward check && doorward test   is the policy sound, and does it say what was meant?";

const EXIT_CODES: &str = "\
Exit codes:
  0  yes: clean, allowed, the tests pass, nothing changed that may not change
  1  no: findings, denied, a test failed, access changed
  2  there is no answer: wrong usage, unreadable input, a policy that cannot be used";

/// Runs the command line. stdout gets the answer, stderr everything else.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match parse(arguments).and_then(answer) {
        Ok(code) => code,
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            // When not even stderr can be written, the exit code is all that is left.
            let _ = write!(std::io::stderr(), "{failure}");
            ExitCode::from(2)
        }
    }
}

enum Parsed {
    Run(Box<Cli>),
    Help(String),
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed, Failure> {
    let parsed = command().try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(cli) => Ok(Parsed::Run(Box::new(cli))),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(Parsed::Help(error.render().to_string()))
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Err(Failure::new(Kind::Usage, "a command is needed").after(format!("{}\n", error.render())))
        }
        Err(error) => {
            let text = error.render().to_string();
            let failure = Failure::usage(text.strip_prefix("error: ").unwrap_or(&text));
            Err(match flagless_policy(&error) {
                Some(policy) => failure.help(format!("a policy is named with its flag: `--policy {policy}`")),
                None => failure,
            })
        }
    }
}

/// A policy that was named as other tools let one name a file.
fn flagless_policy(error: &clap::Error) -> Option<&str> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
    let is_policy = Path::new(argument).extension().is_some_and(|extension| extension == "toml");
    (is_policy && error.kind() == ErrorKind::UnknownArgument).then_some(argument)
}

fn answer(parsed: Parsed) -> Result<ExitCode, Failure> {
    let answer = match parsed {
        Parsed::Help(text) => Answer::yes(text),
        Parsed::Run(cli) => cli.command.run(cli.color)?,
    };
    answer.deliver()
}

/// The whole command line, as clap knows it.
fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
