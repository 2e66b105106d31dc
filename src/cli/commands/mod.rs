//! One file per command: arguments in, an answer out.

#[cfg(feature = "guard")]
mod attest;
#[cfg(feature = "store")]
mod audit;
mod check;
mod compile;
mod completions;
#[cfg(feature = "vault")]
mod credentials;
mod decide;
#[cfg(feature = "gateway")]
mod demo;
mod diff;
mod explain;
mod import;
mod init;
#[cfg(feature = "gateway")]
mod issuer;
mod man;
#[cfg(feature = "gateway")]
mod reload;
mod schema;
#[cfg(feature = "gateway")]
mod serve;
mod simulate;
#[cfg(feature = "gateway")]
mod status;
mod suggest;
mod test;
#[cfg(feature = "gateway")]
mod token;
#[cfg(feature = "vault")]
mod vault;
mod what_can;
mod who_can;

#[cfg(feature = "guard")]
pub(super) use check::sound;

use super::answer::Answer;
use super::failure::Failure;
use super::terminal::When;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Init(init::Args),
    Check(check::Args),
    Test(test::Args),
    Compile(compile::Args),
    Decide(Box<decide::Args>),
    Explain(Box<explain::Args>),
    WhoCan(who_can::Args),
    WhatCan(what_can::Args),
    Diff(diff::Args),
    Suggest(Box<suggest::Args>),
    Simulate(Box<simulate::Args>),
    Import(import::Args),
    #[cfg(feature = "guard")]
    Attest(Box<attest::Args>),
    #[cfg(feature = "store")]
    Audit(Box<audit::Args>),
    #[cfg(feature = "gateway")]
    Token(token::Args),
    #[cfg(feature = "gateway")]
    Issuer(issuer::Args),
    #[cfg(feature = "gateway")]
    Serve(Box<serve::Args>),
    #[cfg(feature = "gateway")]
    Status(status::Args),
    #[cfg(feature = "gateway")]
    Reload(reload::Args),
    #[cfg(feature = "gateway")]
    Demo(demo::Args),
    #[cfg(feature = "vault")]
    Vault(vault::Args),
    #[cfg(feature = "vault")]
    Credentials(credentials::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// Does it.
    pub(super) fn run(self, color: When) -> Result<Answer, Failure> {
        match self {
            Self::Init(args) => args.run(),
            Self::Check(args) => args.run(color),
            Self::Test(args) => args.run(color),
            Self::Compile(args) => args.run(color),
            Self::Decide(args) => args.run(color),
            Self::Explain(args) => args.run(color),
            Self::WhoCan(args) => args.run(color),
            Self::WhatCan(args) => args.run(color),
            Self::Diff(args) => args.run(color),
            Self::Simulate(args) => args.run(color),
            Self::Suggest(args) => args.run(color),
            Self::Import(args) => args.run(color),
            #[cfg(feature = "guard")]
            Self::Attest(args) => args.run(color),
            #[cfg(feature = "store")]
            Self::Audit(args) => args.run(color),
            #[cfg(feature = "gateway")]
            Self::Token(args) => args.run(color),
            #[cfg(feature = "gateway")]
            Self::Issuer(args) => args.run(color),
            #[cfg(feature = "gateway")]
            Self::Serve(args) => args.run(color),
            #[cfg(feature = "gateway")]
            Self::Status(args) => args.run(color),
            #[cfg(feature = "gateway")]
            Self::Reload(args) => args.run(color),
            #[cfg(feature = "gateway")]
            Self::Demo(demo::Args {}) => demo::run(),
            #[cfg(feature = "vault")]
            Self::Vault(args) => args.run(color),
            #[cfg(feature = "vault")]
            Self::Credentials(args) => args.run(color),
            Self::Schema(args) => args.run(),
            Self::Completions(args) => args.run(),
            Self::Man(args) => args.run(),
        }
    }
}
