//! `doorward issuer`: the development issuer, running or by its public keys.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::keys::{dev_keys, dev_name, refused, runtime};
use crate::cli::policy::PolicyArgs;
use crate::cli::terminal::When;
use crate::cli::time::clock;
use crate::gateway::serve_dev_issuer;
use crate::identity::dev::{DevIssuer, DevKeys, WARNING};

/// Run the development issuer, for a first run without an identity provider
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  doorward issuer dev")]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Dev(DevArgs),
    Jwks(JwksArgs),
}

/// Serve the development issuer of the policy until stopped
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward issuer dev
  doorward issuer dev --keys dev-keys.json",
    after_help = "\
Whoever reaches it gets any token. So it serves only an issuer that the policy declares as
`http://127.0.0.1:PORT/dev-issuer`, and listens on loopback only.

Exit codes:
  0  it was stopped
  2  it cannot be served"
)]
struct DevArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// The issuer, by its name in the policy [default: the one that is declared as a development issuer]
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Keep its keys in a file, so that its tokens outlive it [default: new keys each time]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// Print the public keys of a key file, for the `jwks_file` of a policy
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward issuer jwks --keys dev-keys.json --output dev-jwks.json",
    after_help = "\
The key file is made when it is not there yet.

Exit codes:
  0  they were written
  2  the key file cannot be used"
)]
struct JwksArgs {
    /// The file with the private keys
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// Write the public keys to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Serves, or prints.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        match self.command {
            Command::Dev(args) => args.run(color),
            Command::Jwks(args) => Ok(Answer::yes(format!("{}\n", dev_keys(&args.keys)?.jwks())).to(args.output)),
        }
    }
}

impl DevArgs {
    fn run(self, color: When) -> Result<Answer, Failure> {
        let opened = self.policy.open(color)?;
        let policy = opened.compiled.set();
        let name = dev_name(policy, self.issuer.as_deref())?;
        let keys = match &self.keys {
            Some(path) => dev_keys(path)?,
            None => DevKeys::generate().map_err(refused)?,
        };
        let issuer = Arc::new(DevIssuer::new(policy, name, keys).map_err(refused)?);
        runtime()?.block_on(async {
            let (host, port) = issuer.listen();
            let listener = TcpListener::bind((host, port)).await.map_err(|e| {
                Failure::new(Kind::DevIssuer, format!("cannot listen at `{host}:{port}`: {e}"))
                    .help("free the port, or change it in the `url` of the issuer")
            })?;
            let _ = writeln!(std::io::stderr(), "{WARNING}\nissuer `{name}` is `{}`", issuer.url());
            let stopped = async {
                // Without a handler the signal ends the process, which is as good.
                let _ = tokio::signal::ctrl_c().await;
            };
            serve_dev_issuer(listener, Arc::clone(&issuer), clock, stopped).await.map_err(refused)
        })?;
        Ok(Answer::yes(""))
    }
}
