//! The `doorward` command. Hands the arguments over and exits with the answer; never more.

use std::process::ExitCode;

fn main() -> ExitCode {
    doorward::cli::run(std::env::args_os())
}
