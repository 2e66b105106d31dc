//! The `doorward` command. Hands the arguments over and exits with the answer; never more.

use std::process::ExitCode;

/// Reading a policy, a rehearsal and the gateway take and give back much memory in small pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    doorward::cli::run(std::env::args_os())
}
