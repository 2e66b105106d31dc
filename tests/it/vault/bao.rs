//! `OpenBao` or Vault in a container, a place of its own in it for each test.
//!
//! The image is that of `OpenBao` which `tests/containers/up.sh` makes, and each test has a namespace of one
//! server. `DOORWARD_VAULT_IMAGE` names another, for example `hashicorp/vault:1.21`. Not every Vault has namespaces,
//! so of such an image each test has a server of its own, and says that namespaces are not tried. Without the
//! image a test says that it is skipped, and fails where `DOORWARD_CONTAINERS=required` is set.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use doorward::credentials::vault::{Patience, Tls, Vault};
use doorward::credentials::{Secrets, Unavailable};
use doorward::policy::CompiledPolicy;
use doorward::policy::{Layers, load};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use secrecy::SecretString;
use serde_json::{Value, json};
use testcontainers::core::{IntoContainerPort as _, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _};

use crate::containers::is_there;

/// The image of which the tests share a server.
const SHARED_IMAGE: (&str, &str) = ("doorward-test/openbao", "2");
/// The variable that names another.
const OTHER_IMAGE: &str = "DOORWARD_VAULT_IMAGE";
/// What the entry points of every image take: a server in memory, unsealed, whose root token is known.
const DEVELOPMENT: [&str; 5] =
    ["server", "-dev", "-dev-root-token-id=root", "-dev-listen-address=0.0.0.0:8200", "-dev-no-store-token"];
pub(super) const ROOT: &str = "root";

static SHARED: Mutex<Weak<Bao>> = Mutex::new(Weak::new());
static NAMESPACES: AtomicU32 = AtomicU32::new(0);

/// The image that was asked for in place of the shared one, by name and tag.
fn other_image() -> Option<(String, String)> {
    let image = std::env::var(OTHER_IMAGE).ok().filter(|image| !image.is_empty())?;
    let named = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    let (name, tag) = named.unwrap_or((&image, "latest"));
    Some((name.to_owned(), tag.to_owned()))
}

/// A server that runs until it is dropped. It loses everything then.
pub(super) struct Bao {
    namespaces: bool,
    port: u16,
    id: String,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The server that the tests share, where each has a namespace of it.
pub(super) fn shared(test: &str) -> Option<Arc<Bao>> {
    if other_image().is_some() {
        return own(test).map(Arc::new);
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return Some(running);
    }
    let started = Arc::new(own(test)?);
    *shared = Arc::downgrade(&started);
    Some(started)
}

/// A server that the test may harm.
pub(super) fn own(test: &str) -> Option<Bao> {
    let other = other_image();
    let (name, tag) = other.clone().unwrap_or_else(|| (SHARED_IMAGE.0.to_owned(), SHARED_IMAGE.1.to_owned()));
    if !is_there((&name, &tag), test) {
        return None;
    }
    if other.is_some() {
        #[expect(clippy::print_stderr, reason = "what is not tried is said")]
        {
            eprintln!("{test}: on {name}:{tag}, which may have no namespaces: SKIPPED what is of them");
        }
    }
    Some(Bao::start(name, tag, other.is_none()))
}

impl Bao {
    fn start(name: String, tag: String, namespaces: bool) -> Self {
        let (started, running) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        // The container lives on a thread and a runtime of its own: those of a test end before it.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async move {
                let (container, port) = run(&name, &tag).await;
                started.send((container.id().to_owned(), port)).unwrap();
                tokio::task::spawn_blocking(move || stopped.recv().is_err()).await.unwrap();
                container.rm().await.unwrap();
            });
        });
        let (id, port) = running.recv().expect("the container starts");
        Self { namespaces, port, id, stop: Some(stop), thread: Some(thread) }
    }

    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its container.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Runs `docker COMMAND ID`, and gives what it prints.
    pub(super) fn docker(&self, command: &str) -> String {
        let output = Command::new("docker").args([command, &self.id]).output().unwrap();
        assert!(output.status.success(), "docker {command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Unseals it by the key that it told when it started.
    pub(super) async fn unseal(&self, root: &World<'_>) {
        let logs = self.docker("logs");
        let key = logs.lines().find_map(|line| line.split_once("Unseal Key: ")).unwrap().1.trim().to_owned();
        root.write("sys/unseal", json!({ "key": key })).await;
    }

    /// The program in the container that an operator speaks to the server with.
    pub(super) fn program(&self) -> &'static str {
        let runs = |program: &&str| {
            let tried = Command::new("docker").args(["exec", &self.id, program, "version"]).output().unwrap();
            tried.status.success()
        };
        ["bao", "vault"].into_iter().find(runs).expect("the image has the program of its server")
    }

    /// A place that no other test has.
    pub(super) async fn world(&self) -> World<'_> {
        if !self.namespaces {
            // The whole server is this test's.
            return World { bao: self, namespace: String::new() };
        }
        let name = format!("test-{}", NAMESPACES.fetch_add(1, Ordering::Relaxed));
        let root = World { bao: self, namespace: String::new() };
        root.write(&format!("sys/namespaces/{name}"), json!({})).await;
        World { bao: self, namespace: name }
    }
}

/// Starts a container on a free port. Under load the port may be taken meanwhile: then on another.
async fn run(name: &str, tag: &str) -> (ContainerAsync<GenericImage>, u16) {
    let mut failed = None;
    for _ in 0..3 {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let image = GenericImage::new(name, tag)
            .with_exposed_port(8200.tcp())
            .with_wait_for(WaitFor::message_on_stdout("Development mode should NOT be used"))
            .with_cmd(DEVELOPMENT)
            .with_mapped_port(port, 8200.tcp())
            .with_label("doorward-test", std::process::id().to_string())
            .with_startup_timeout(Duration::from_mins(1));
        match image.start().await {
            Ok(container) => return (container, port),
            Err(error) => failed = Some(error),
        }
    }
    panic!("{failed:?}")
}

impl Drop for Bao {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A container that cannot be removed must not hide why a test fails.
            let _ = thread.join();
        }
    }
}

/// A namespace, or all of a server, as whoever may do everything in it sees it.
pub(super) struct World<'b> {
    pub(super) bao: &'b Bao,
    /// Empty where it is all of the server.
    pub(super) namespace: String,
}

impl World<'_> {
    /// One request with a token: the status and the body.
    pub(super) async fn request(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/v1/{path}", self.bao.address());
        let mut request = client.request(method.parse().unwrap(), url).header("x-vault-token", token);
        if !self.namespace.is_empty() {
            request = request.header("x-vault-namespace", &self.namespace);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    pub(super) async fn write(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.request(ROOT, "POST", path, Some(body)).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    pub(super) async fn read(&self, path: &str) -> Value {
        let (status, answer) = self.request(ROOT, "GET", path, None).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer["data"].clone()
    }

    /// A path as the server itself has it.
    pub(super) fn path(&self, below: &str) -> String {
        if self.namespace.is_empty() { below.to_owned() } else { format!("{}/{below}", self.namespace) }
    }

    /// The `[vault]` of a policy, to which lines may be added.
    pub(super) fn table(&self) -> String {
        self.table_at(&self.bao.address())
    }

    /// The same by another address.
    pub(super) fn table_at(&self, address: &str) -> String {
        let namespace =
            if self.namespace.is_empty() { String::new() } else { format!("namespace = \"{}\"\n", self.namespace) };
        format!("[vault]\naddress = \"{address}\"\n{namespace}")
    }

    /// A policy with `[vault]` here and these servers below it.
    pub(super) fn policy(&self, login: &str, servers: &str) -> CompiledPolicy {
        compiled(&format!("version = 1\n{}{login}\n{servers}", self.table()))
    }

    /// The Vault of a policy, with these secrets.
    pub(super) fn vault(policy: &CompiledPolicy, secrets: &[(&str, &str)]) -> Arc<Vault> {
        let declared = policy.set().vault.as_ref().unwrap();
        Vault::new(declared, &Tls::default(), given(secrets), Arc::new(|| u32::MAX / 2), Patience::default()).unwrap()
    }

    /// The same, with the login of whoever may do everything.
    pub(super) fn operator(policy: &CompiledPolicy) -> Arc<Vault> {
        let mut declared = policy.set().vault.clone().unwrap();
        declared.login = doorward::policy::set::VaultLogin::Token { token: "env:ROOT".into() };
        let secrets = given(&[("env:ROOT", ROOT)]);
        Vault::new(&declared, &Tls::default(), secrets, Arc::new(|| 0), Patience::default()).unwrap()
    }

    /// The id of a role of `AppRole` and a fresh secret id.
    pub(super) async fn approle(&self, role: &str) -> (String, String) {
        let id = self.read(&format!("auth/approle/role/{role}/role-id")).await["role_id"].clone();
        let secret = self.write(&format!("auth/approle/role/{role}/secret-id"), json!({})).await;
        (id.as_str().unwrap().to_owned(), secret["data"]["secret_id"].as_str().unwrap().to_owned())
    }
}

pub(crate) fn compiled(text: &str) -> CompiledPolicy {
    let layers = Layers { files: vec![("policies.toml".to_owned(), text.as_bytes().to_vec())], ..Layers::default() };
    let loaded = load(&layers);
    loaded.policy.unwrap_or_else(|| panic!("{:?}", loaded.problems)).compiled
}

struct GivenSecrets(BTreeMap<String, String>);

impl Secrets for GivenSecrets {
    fn read<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<SecretString, Unavailable>> {
        let found = self.0.get(reference).map(|secret| SecretString::from(secret.as_str()));
        ready(found.ok_or(Unavailable::Reference)).boxed()
    }
}

/// Secrets that are known beforehand.
pub(crate) fn given(secrets: &[(&str, &str)]) -> Arc<dyn Secrets> {
    Arc::new(GivenSecrets(secrets.iter().map(|(name, secret)| ((*name).to_owned(), (*secret).to_owned())).collect()))
}
