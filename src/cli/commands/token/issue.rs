//! `doorward token issue`: a token of the development issuer, on stdout and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::ExposeSecret;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::keys::{dev_keys, dev_name, refused, runtime};
use crate::cli::policy::PolicyArgs;
use crate::cli::request::{SubjectArgs, suggest};
use crate::cli::terminal::When;
use crate::cli::time::{self, clock};
use crate::identity::dev::{DevIssuer, Wanted, ask};
use crate::policy::set::{Issuer, PolicySet};

/// Issue a token of the development issuer
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward token issue --sub ana --groups support --scope tickets:search --door tickets
  doorward token issue --sub ana --door tickets --keys dev-keys.json --age 20m",
    after_help = "\
Without --keys the development issuer must be running (`doorward issuer dev`). Its tokens are verified like any
other's; a policy that declares no such issuer takes none of them.

Exit codes:
  0  the token is on stdout
  2  there is no token"
)]
pub(super) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    who: SubjectArgs,
    /// Scopes of the token, with spaces between
    #[arg(long, value_name = "SCOPES", value_delimiter = ' ')]
    scope: Vec<String>,
    /// The door that it is for, by the name of its server [default: the only one]
    #[arg(long, value_name = "SERVER", conflicts_with = "aud")]
    door: Option<String>,
    /// An audience in place of a door; may be given again
    #[arg(long, value_name = "URI")]
    aud: Vec<String>,
    /// How long it lives, as `90s`, `5m`, `1h`
    #[arg(long, value_name = "DURATION", value_parser = time::seconds, default_value = "5m")]
    ttl: u32,
    /// How old it is already; needs --keys
    #[arg(long, value_name = "DURATION", value_parser = time::seconds, default_value = "0s")]
    age: u32,
    /// Sign with the keys of a file, which is made when it is not there, in place of asking a running issuer
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

impl Args {
    /// Signs, or asks for a signature.
    pub(super) fn run(self, color: When) -> Result<Answer, Failure> {
        let opened = self.policy.open(color)?;
        let policy = opened.compiled.set();
        let name = dev_name(policy, self.who.issuer.as_deref())?;
        let declared = policy.issuers.get(name).ok_or_else(|| refused(crate::identity::dev::DevError::Undeclared))?;
        let wanted = self.wanted(policy, name, declared)?;
        let token = match &self.keys {
            Some(path) => {
                // Before keys are made for it.
                DevIssuer::check(policy, name).map_err(refused)?;
                let issuer = DevIssuer::new(policy, name, dev_keys(path)?).map_err(refused)?;
                issuer.mint(&wanted, clock().plus(-i64::from(self.age))).map_err(refused)?
            }
            None if self.age > 0 => {
                return Err(
                    Failure::new(Kind::Usage, "a running issuer makes no old tokens").help("give --keys with --age")
                );
            }
            None => runtime()?.block_on(ask(declared, &wanted)).map_err(|(error, said)| match said {
                Some(said) => Failure::new(Kind::DevIssuer, format!("the development issuer says {said}"))
                    .help("look at what was asked for, and at the policy that it runs with"),
                None => refused(error),
            })?,
        };
        Ok(Answer::yes(format!("{}\n", token.expose_secret())))
    }

    fn wanted(&self, policy: &PolicySet, issuer: &str, declared: &Issuer) -> Result<Wanted, Failure> {
        let filled = |list: &[String]| list.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>();
        let mut claims: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &self.who.claim {
            claims.entry(name.clone()).or_default().push(value.clone());
        }
        let subject = self.who.sub.clone().or_else(|| self.who.agent.clone()).ok_or_else(|| {
            Failure::new(Kind::Usage, "whose token it is to be is not said").help("name the subject with --sub")
        })?;
        Ok(Wanted {
            subject,
            agent: self.who.agent.clone().filter(|agent| !agent.is_empty()),
            groups: filled(&self.who.groups),
            claims,
            scopes: filled(&self.scope),
            audience: if self.aud.is_empty() { self.audience(policy, issuer, declared)? } else { self.aud.clone() },
            lifetime: self.ttl,
        })
    }

    /// What the door asks for.
    fn audience(&self, policy: &PolicySet, issuer: &str, declared: &Issuer) -> Result<Vec<String>, Failure> {
        let server = match &self.door {
            Some(door) => policy.servers.get(door).ok_or_else(|| {
                let failure = Failure::new(Kind::UnknownName, format!("no server `{door}` is declared"));
                suggest(failure, door, policy.servers.keys().map(String::as_str))
            })?,
            None => {
                let accepts = |issuers: &Option<Vec<String>>| {
                    issuers.as_ref().is_none_or(|issuers| issuers.iter().any(|name| name == issuer))
                };
                let mut doors = policy.servers.values().filter(|server| accepts(&server.issuers));
                match (doors.next(), doors.next()) {
                    (Some(only), None) => only,
                    _ if !declared.audiences.is_empty() => return Ok(declared.audiences.clone()),
                    _ => {
                        return Err(Failure::new(Kind::Usage, "which door the token is for is not said")
                            .help("name the server with --door, or the audience with --aud"));
                    }
                }
            }
        };
        Ok(if declared.audiences.is_empty() { vec![server.resource.clone()] } else { declared.audiences.clone() })
    }
}
