//! `doorward credentials`: taking back what a server's credentials are.

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::policy::PolicyArgs;
use crate::cli::secrets::{block_on, declared, open, unavailable};
use crate::cli::terminal::When;
use crate::credentials::vault::{Revoked, revoke};

/// Take back the credentials of a server
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  doorward credentials revoke tickets")]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Revoke(RevokeArgs),
}

/// Take back at Vault whatever a server's credentials are now
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward credentials revoke tickets",
    after_help = "\
Whichever gateway had them made. A gateway that still holds one has it refused by the server, and then gets another.

Exit codes:
  0  they are taken back, or there were none
  1  they cannot be taken back: signed tokens end by themselves, and what is not from Vault is not ours
  2  the policy cannot be used, or Vault does not take them back"
)]
struct RevokeArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// The token to do it with: `env:NAME` or `file:PATH`
    #[arg(long, value_name = "REFERENCE", default_value = "env:VAULT_TOKEN")]
    login: String,
    /// The server, by its name in the policy
    #[arg(value_name = "SERVER")]
    server: String,
}

impl Args {
    /// Does it.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let What::Revoke(args) = self.what;
        let policy = args.policy.open(color)?.compiled;
        if !policy.set().servers.contains_key(&args.server) {
            return Err(Failure::new(Kind::UnknownName, format!("the policy declares no server `{}`", args.server)));
        }
        let revoked = block_on(async {
            let vault = open(declared(policy.set())?, Some(&args.login))?;
            revoke(policy.set(), &args.server, &vault).await.map_err(unavailable)
        })?;
        Ok(match revoked {
            Revoked::Done => Answer::yes("taken back\n"),
            Revoked::Nothing => Answer::yes("there was none\n"),
            Revoked::EndsBy(ttl) => {
                Answer::new(format!("a signed token cannot be taken back; it ends within {ttl} s\n"), false)
            }
            Revoked::Elsewhere => Answer::new("the credential is not from Vault\n", false),
        })
    }
}
