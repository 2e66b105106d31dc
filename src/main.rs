//! The `doorward` command. Hands the arguments over and exits with the answer; never more.

use std::process::ExitCode;

/// The gateway takes and gives back much memory in small pieces on several threads.
#[cfg(feature = "gateway")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    doorward::cli::run(std::env::args_os())
}
