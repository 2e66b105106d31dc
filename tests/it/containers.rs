//! Containers for tests: started by testcontainers, gone when the last test that holds one is done.
//!
//! The images are made by `tests/containers/up.sh`, which `tests/run` calls. Without them a test that
//! needs one says that it is skipped, and fails where `DOORWARD_CONTAINERS=required` is set.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use testcontainers::core::{IntoContainerPort as _, Mount, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _};

use crate::elsewhere::is_required;

const POSTGRES: (&str, &str) = ("doorward-test/postgres", "18");

/// Whether an image is there. Where it must be, its lack is a failure.
pub(crate) fn is_there((name, tag): (&str, &str), test: &str) -> bool {
    let inspected = Command::new("docker").args(["image", "inspect", &format!("{name}:{tag}")]).output();
    let there = inspected.is_ok_and(|output| output.status.success());
    assert!(
        there || !is_required("DOORWARD_CONTAINERS"),
        "{test}: there is no image `{name}:{tag}`: run tests/containers/up.sh"
    );
    if !there {
        #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
        {
            eprintln!("{test}: SKIPPED, there is no image `{name}:{tag}`: run tests/containers/up.sh");
        }
    }
    there
}

/// A server that runs until it is dropped.
pub(crate) struct Postgres {
    id: String,
    port: u16,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How a server of its own is to be.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// Its data on a disk of so many bytes in memory, which is empty at first.
    pub(crate) disk: Option<i64>,
    /// Further settings.
    pub(crate) settings: &'static [&'static str],
}

static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The server that the tests share; each takes a database of its own.
pub(crate) fn postgres(test: &str) -> Option<Arc<Postgres>> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return Some(running);
    }
    let started = Arc::new(own_postgres(test, Wanted::default())?);
    *shared = Arc::downgrade(&started);
    Some(started)
}

/// A server that the test may harm. It keeps its port when it is restarted.
pub(crate) fn own_postgres(test: &str, wanted: Wanted) -> Option<Postgres> {
    is_there(POSTGRES, test).then(|| Postgres::start(wanted))
}

impl Postgres {
    fn start(wanted: Wanted) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (started, id) = mpsc::channel();
        let (stop, stopped) = mpsc::channel();
        // The container lives on a thread and a runtime of its own: those of a test end before it.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async move {
                let container = run(wanted, port).await;
                started.send(container.id().to_owned()).unwrap();
                tokio::task::spawn_blocking(move || stopped.recv().is_err()).await.unwrap();
                container.rm().await.unwrap();
            });
        });
        let id = id.recv().expect("the container starts");
        Self { id, port, stop: Some(stop), thread: Some(thread) }
    }

    /// The address of a database of this server.
    pub(crate) fn url(&self, database: &str) -> String {
        Self::url_at(self.port, database)
    }

    /// The address of a database by another way to the server.
    pub(crate) fn url_at(port: u16, database: &str) -> String {
        format!("postgres://postgres:postgres@127.0.0.1:{port}/{database}")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Makes a new database and gives its name.
    pub(crate) async fn database(&self) -> String {
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let mut admin = self.connect("postgres").await;
        admin.execute(AssertSqlSafe(format!("create database {name}"))).await.unwrap();
        admin.close().await.unwrap();
        name
    }

    pub(crate) async fn connect(&self, database: &str) -> PgConnection {
        PgConnection::connect(&self.url(database)).await.unwrap()
    }

    /// Runs `docker COMMAND ID ARGUMENTS…`.
    pub(crate) fn docker(&self, command: &str, arguments: &[&str]) {
        let output = Command::new("docker").arg(command).arg(&self.id).args(arguments).output().unwrap();
        assert!(output.status.success(), "docker {command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A container that cannot be removed must not hide why a test fails.
            let _ = thread.join();
        }
    }
}

async fn run(wanted: Wanted, port: u16) -> ContainerAsync<GenericImage> {
    let ready = WaitFor::message_on_stderr("database system is ready to accept connections");
    let mut settings = vec!["postgres".to_owned()];
    for setting in wanted.settings {
        settings.extend(["-c".to_owned(), (*setting).to_owned()]);
    }
    let mut image = GenericImage::new(POSTGRES.0, POSTGRES.1)
        .with_exposed_port(5432.tcp())
        .with_wait_for(ready)
        .with_cmd(settings)
        .with_mapped_port(port, 5432.tcp())
        .with_label("doorward-test", std::process::id().to_string())
        .with_startup_timeout(Duration::from_mins(1));
    if let Some(size) = wanted.disk {
        image = image
            .with_mount(Mount::tmpfs_mount("/disk").with_size(&size.to_string()).with_mode(0o1777))
            .with_env_var("PGDATA", "/disk/data");
    }
    image.start().await.unwrap()
}
