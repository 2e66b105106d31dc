//! `doorward serve`: the gateway, until it is told to stop.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use tracing_subscriber::EnvFilter;

use crate::attest::Verified;
use crate::cli::answer::Answer;
use crate::cli::attestation::TrustArgs;
use crate::cli::failure::{Failure, Kind};
use crate::cli::policy::PolicyArgs;
use crate::cli::terminal::When;
use crate::gateway::upstream::Patience;
use crate::gateway::{Options, Overrides, open};
use crate::policy::duration::duration;

/// How to write the log
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a person
    #[default]
    Human,
    /// One JSON object a line
    Json,
}

/// Serve the policy: one gateway in front of its MCP servers
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward serve --policy policies.toml --format json",
    after_help = "\
Each server of the policy is at /NAME/mcp. Health and metrics are on the admin address at /healthz, /readyz and
/metrics. The log goes to stderr. SIGTERM and SIGINT end it: calls may finish for 20 seconds, a second signal
ends it at once.

Exit codes:
  0  it was told to stop, and everything had ended
  1  it was told to stop, and calls were cut off
  2  it cannot start, or a listener broke"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Where callers reach it [default: `gateway.listen` of the policy]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Where health and metrics are, on the loopback [default: `gateway.admin` of the policy]
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// The store of the audit log: `sqlite:PATH`, `postgres://…`, `env:NAME` or `file:PATH` [default: that of
    /// the policy]
    #[arg(long, value_name = "STORE")]
    audit: Option<String>,
    /// The private key that signs the seals of the audit log, in PEM [default: that of the policy]
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// How long a server may take to begin its answer
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = patience)]
    timeout: Duration,
    #[command(flatten)]
    trust: TrustArgs,
    /// How to write the log
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// What of the log to write: `error`, `warn`, `info`, `debug`, or by part as in
    /// `info,doorward::child=debug`, which shows what programs say on stderr and may hold secrets
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

fn patience(text: &str) -> Result<Duration, String> {
    let seconds = duration(text).filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(|| "write a duration as in `30s` or `2m`".to_owned())
}

/// A path of the command line counts from where it is given, one of the policy from the policy.
fn from_here(named: &str) -> String {
    let absolute = |kind: &str| {
        let path = std::path::absolute(named.strip_prefix(kind)?).ok()?;
        Some(format!("{kind}{}", path.display()))
    };
    absolute("sqlite:").or_else(|| absolute("file:")).unwrap_or_else(|| named.to_owned())
}

impl Args {
    /// Serves until a signal comes.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let opened = self.policy.open(color)?;
        let attested = self.trust.required(&self.policy, &opened.checks.rollout, opened.compiled.digest())?;
        self.log()?;
        forbid_core_dumps();
        if let Some(Verified { attestation, key }) = &attested {
            tracing::info!(key, time = attestation.time, events = attestation.counts.events, "the policy is attested");
        }
        let directory = opened.directory.unwrap_or_default();
        let options = Options {
            directory,
            overrides: Overrides {
                listen: self.listen,
                admin: self.admin,
                audit: self.audit.map(|store| from_here(&store)),
                signing_key: self.signing_key.map(|path| from_here(&format!("file:{}", path.display()))),
            },
            patience: Patience { first_byte: self.timeout, ..Patience::default() },
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Kind::CannotServe, format!("no threads: {error}")))?;
        runtime.block_on(serve(opened.compiled, options))
    }

    fn log(&self) -> Result<(), Failure> {
        let filter = EnvFilter::try_new(&self.log).map_err(|_| {
            Failure::new(Kind::Usage, format!("`{}` is no filter of the log", self.log)).help("write `--log info`")
        })?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        // A logger that another part of the process has set stays.
        let _ = match self.format {
            Format::Human => log.with_ansi(false).with_target(false).try_init(),
            Format::Json => log.json().flatten_event(true).try_init(),
        };
        Ok(())
    }
}

/// Sees to it that no image of this process, which holds secrets, is written should it crash, and none of
/// the programs that it starts.
fn forbid_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "a crash may write what is in memory to a file");
    }
}

async fn serve(policy: crate::policy::CompiledPolicy, options: Options) -> Result<Answer, Failure> {
    let digest = policy.digest().to_string();
    let gateway = open(policy, &options).await.map_err(refused)?;
    let shown = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
    tracing::info!(
        address = shown(gateway.address()),
        admin = shown(gateway.admin_address()),
        tls = gateway.is_tls(),
        doors = gateway.doors().collect::<Vec<_>>().join(" "),
        audit = gateway.audit(),
        policy = digest,
        "serving"
    );
    let mut signals =
        Signals::new().map_err(|error| Failure::new(Kind::CannotServe, format!("signals cannot be heard: {error}")))?;
    let (told, stop) = tokio::sync::oneshot::channel();
    let running = gateway.run(async move {
        // A sender that is gone stops it too.
        let _ = stop.await;
    });
    tokio::pin!(running);
    let mut told = Some(told);
    let all = loop {
        tokio::select! {
            ended = &mut running => break ended,
            () = signals.next() => match told.take() {
                Some(told) => drop(told.send(())),
                None => break Ok(false),
            },
        }
    };
    match all {
        Ok(all) => {
            tracing::info!(all, "stopped");
            Ok(Answer::new(String::new(), all))
        }
        Err(error) => Err(Failure::new(Kind::CannotServe, format!("a listener broke: {error}"))),
    }
}

/// Everything that keeps it from starting, each with what to do.
fn refused(refusals: Vec<crate::gateway::Refusal>) -> Failure {
    let mut refusals = refusals;
    let Some(last) = refusals.pop() else { return Failure::new(Kind::CannotServe, "the gateway cannot start") };
    let before: String = refusals
        .iter()
        .map(|refusal| Failure::new(Kind::CannotServe, worded(refusal)).help(&*refusal.help).to_string())
        .collect();
    Failure::new(Kind::CannotServe, worded(&last)).help(last.help).after(before)
}

fn worded(refusal: &crate::gateway::Refusal) -> String {
    format!("{} ({})", refusal.message, refusal.code)
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
