//! The processes of the benchmark: this program in its parts, and another gateway.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::ISSUER;

/// How long a process may take to begin.
const BEGIN: Duration = Duration::from_secs(30);
/// Ticks of the clock in which Linux counts the time of processes, a second.
const TICKS: f64 = 100.0;

/// A process of this program. Dropped, it ends.
pub(super) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Process {
    /// Starts it, and waits for the address that it says.
    pub(super) fn begin(words: &[impl AsRef<OsStr> + Debug], directory: &Path, log: &str) -> (Self, SocketAddr) {
        let log = directory.join(format!("{log}.log"));
        let errors = std::fs::File::create(&log).expect("a file can be made");
        let program = std::env::current_exe().expect("this program has a place");
        let child = Command::new(program).args(words).stdin(Stdio::null()).stderr(errors).spawn();
        let process = Self(child.expect("it starts"));
        let begin = Instant::now();
        loop {
            let text = std::fs::read_to_string(&log).expect("its log can be read");
            let said = text.lines().find_map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).ok()?;
                line["message"].as_str().filter(|message| *message == "serving")?;
                line["address"].as_str()?.parse().ok()
            });
            if let Some(address) = said {
                return (process, address);
            }
            assert!(begin.elapsed() < BEGIN, "{words:?} does not serve: {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the gateway of the `mcp-proxy` crate in front of a server, and waits until it can be reached. Gives the
    /// audience that it asks for as well.
    pub(super) fn other(program: &OsStr, server: SocketAddr, directory: &Path) -> (Self, SocketAddr, String) {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let address = free.local_addr().expect("it has an address");
        drop(free);
        // It takes no other than its own address.
        let audience = format!("http://{address}");
        let config = directory.join("proxy.toml");
        let text = format!(
            r#"
[proxy]
name = "other"
[proxy.listen]
host = "127.0.0.1"
port = {}
[auth]
type = "jwt"
issuer = "{ISSUER}"
audience = "{audience}"
jwks_uri = "http://{server}/other/keys.json"
[security]
admin_token = "nobody asks"
[[backends]]
name = "desk"
transport = "http"
url = "http://{server}/other/mcp"
[observability]
log_level = "warn"
"#,
            address.port()
        );
        std::fs::write(&config, text).expect("it can be written");
        let errors = std::fs::File::create(directory.join("other.log")).expect("a file can be made");
        let mut command = Command::new(program);
        let child = command.arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let process = Self(child.spawn().expect("it starts"));
        let begin = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(begin.elapsed() < BEGIN, "mcp-proxy does not serve");
            std::thread::sleep(Duration::from_millis(20));
        }
        (process, address, audience)
    }

    /// What it holds in memory, in KiB: of its own, and with what is mapped of its program file.
    pub(super) fn resident(&self) -> (u64, u64) {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("this is Linux");
        let of = |name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("it has memory");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        (of("RssAnon:"), of("VmRSS:"))
    }

    /// How long it has been on a processor, in seconds.
    pub(super) fn busy(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("this is Linux");
        let fields = text.rsplit_once(')').expect("a name").1.split_whitespace();
        fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / TICKS
    }
}
