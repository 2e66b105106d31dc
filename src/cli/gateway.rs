//! A gateway that runs, asked over its admin listener.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::failure::{Failure, Kind};
use super::files;
use super::policy::PolicyArgs;
use super::terminal::When;
use crate::policy::CompiledPolicy;

/// Where the admin listener is when nobody says.
const ADMIN: &str = "127.0.0.1:8788";
/// How long a gateway may take to answer what it knows.
const SOON: Duration = Duration::from_secs(10);
/// How long it may take to rehearse a policy.
const LATER: Duration = Duration::from_mins(30);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 64 << 20;

/// Which gateway.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "The gateway")]
pub(super) struct GatewayArgs {
    /// The admin listener of the gateway, as HOST:PORT or unix:PATH [default: `gateway.admin` of the policy]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) gateway: Option<String>,
    /// Where the admin token is, as `env:NAME` or `file:PATH` [default: `gateway.admin_token` of the policy]
    #[arg(long, value_name = "REFERENCE")]
    pub(super) admin_token: Option<String>,
}

/// A gateway and what it wants to be shown.
#[derive(Debug)]
pub(super) struct Remote {
    address: Address,
    token: Option<SecretString>,
}

#[derive(Clone, Debug)]
enum Address {
    Tcp(String),
    Unix(PathBuf),
}

impl GatewayArgs {
    /// Whether a flag names one.
    pub(super) const fn is_named(&self) -> bool {
        self.gateway.is_some()
    }

    /// The gateway of the flags, and where they say nothing that of the policy, if there is one.
    pub(super) fn find(&self, policy: &PolicyArgs, color: When) -> Result<Remote, Failure> {
        let mut directory = PathBuf::new();
        let (mut address, mut token) = (self.gateway.clone(), self.admin_token.clone());
        // A socket asks for no token, so that a policy which cannot be read is no matter to it.
        let over_socket = address.as_deref().is_some_and(|address| address.starts_with("unix:"));
        if address.is_none() || (token.is_none() && !policy.is_found() && !over_socket) {
            let opened = policy.open(color)?;
            let gateway = &opened.compiled.set().gateway;
            address = address.or_else(|| Some(gateway.admin.clone()).filter(|admin| !admin.is_empty()));
            if token.is_none() {
                token.clone_from(&gateway.admin_token);
                directory = opened.directory.unwrap_or_default();
            }
        }
        let address = address.unwrap_or_else(|| ADMIN.to_owned());
        let address = match address.strip_prefix("unix:") {
            Some(path) if self.gateway.is_some() => Address::Unix(path.into()),
            Some(path) => Address::Unix(policy.directory()?.unwrap_or_default().join(path)),
            None => Address::Tcp(address),
        };
        let token = token.map(|reference| secret(&reference, &directory)).transpose()?;
        Ok(Remote { address, token })
    }
}

/// What a reference stands for.
fn secret(reference: &str, directory: &Path) -> Result<SecretString, Failure> {
    let text = match reference.split_once(':') {
        Some(("env", name)) => std::env::var(name).map_err(|_| {
            Failure::new(Kind::CannotRead, format!("the variable `{name}`, which holds the admin token, is not set"))
                .help("set it, or name another place with --admin-token")
        })?,
        Some(("file", path)) => String::from_utf8(files::read(&directory.join(path), 65_536)?).unwrap_or_default(),
        _ => {
            return Err(Failure::new(Kind::Usage, "the admin token is named by `env:NAME` or `file:PATH`")
                .help("put it into a variable or a file, so that no list of processes shows it"));
        }
    };
    Ok(SecretString::from(text.trim_end()))
}

impl Remote {
    /// The answer to a question.
    pub(super) fn get(&self, path: &str) -> Result<Bytes, Failure> {
        match self.ask(Method::GET, path, SOON)? {
            (200, bytes) => Ok(bytes),
            (status, bytes) => Err(self.refused(status, &bytes)),
        }
    }

    /// Tells it to do something; its answer whether it did or would not (422).
    pub(super) fn post(&self, path: &str) -> Result<Bytes, Failure> {
        match self.ask(Method::POST, path, LATER)? {
            (200 | 422, bytes) => Ok(bytes),
            (status, bytes) => Err(self.refused(status, &bytes)),
        }
    }

    /// The policy that is in force there.
    pub(super) fn policy(&self) -> Result<CompiledPolicy, Failure> {
        let bytes = self.get("/v1/policy")?;
        CompiledPolicy::from_file(&bytes)
            .map_err(|e| Failure::new(Kind::of(&e), format!("the policy of {} cannot be used: {e}", self.name())))
    }

    fn name(&self) -> String {
        match &self.address {
            Address::Tcp(address) => format!("`{address}`"),
            Address::Unix(path) => format!("`unix:{}`", path.display()),
        }
    }

    fn ask(&self, method: Method, path: &str, within: Duration) -> Result<(u16, Bytes), Failure> {
        let failed = |what: String| {
            Failure::new(Kind::Gateway, format!("the gateway at {} gives no answer: {what}", self.name()))
                .help("check that it runs, and name its admin listener with --gateway")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| failed(e.to_string()))?;
        let asked = async {
            match &self.address {
                Address::Tcp(address) => self.send(TcpStream::connect(address).await?, method, path).await,
                Address::Unix(at) => self.send(UnixStream::connect(at).await?, method, path).await,
            }
        };
        let answered = runtime.block_on(async { tokio::time::timeout(within, asked).await });
        answered.map_err(|_| failed(format!("none within {} s", within.as_secs())))?.map_err(|e| failed(e.to_string()))
    }

    async fn send<S>(
        &self,
        stream: S,
        method: Method,
        path: &str,
    ) -> Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let host = match &self.address {
            Address::Tcp(address) => address.as_str(),
            Address::Unix(_) => "localhost",
        };
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let status = answer.status().as_u16();
        let bytes = Limited::new(answer.into_body(), LARGEST).collect().await?.to_bytes();
        drop(sender);
        connection.abort();
        Ok((status, bytes))
    }

    fn refused(&self, status: u16, bytes: &[u8]) -> Failure {
        let said: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
        let text = |key: &str| said.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let (code, message) = (text("code"), text("message"));
        if code.is_empty() {
            return Failure::new(Kind::Gateway, format!("the gateway at {} answers {status}", self.name()))
                .help("check that this is the admin listener of doorward");
        }
        let help = match code.as_str() {
            "admin-shut" => {
                "set `admin = \"unix:PATH\"`, or `admin_token = \"env:NAME\"`, in its [gateway], and start it again"
            }
            "admin-token-unavailable" => "give the gateway what `admin_token` of its [gateway] names",
            "admin-name" => "ask from its machine, by the address that it listens on",
            "reload-busy" => "wait until the other one is done: see doorward status",
            _ => "name the admin token with --admin-token, or its socket with --gateway unix:PATH",
        };
        Failure::new(Kind::Gateway, format!("the gateway at {} refuses: {message} ({code})", self.name())).help(help)
    }
}
