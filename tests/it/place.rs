//! A directory in which the built command is run, away from the environment of the tests.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A policy with one door and one grant.
pub(crate) const POLICY: &str = r#"version = 1
[issuers.corp]
url = "https://login.example.com"
[servers.notes]
url = "http://127.0.0.1:9001/mcp"
[servers.notes.tools.search]
[[grants]]
name = "staff"
to = { groups = ["staff"] }
allow = ["notes:search"]
"#;

/// A request that the policy allows.
pub(crate) const ALLOWED: [&str; 7] =
    ["decide", "--groups", "staff", "--scope", "notes:search", "--policy=p.toml", "notes:search"];
/// A request that it does not.
pub(crate) const DENIED: [&str; 7] =
    ["decide", "--groups", "guest", "--scope", "notes:search", "--policy=p.toml", "notes:search"];

/// The program that is tested.
pub(crate) const DOORWARD: &str = env!("CARGO_BIN_EXE_doorward");

/// A program that is told nothing of what the tests themselves are told by variables.
pub(crate) fn untold(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DOORWARD_")) {
        command.env_remove(name);
    }
    command
}

/// The directory, with [`POLICY`] as `p.toml`.
pub(crate) struct Place {
    directory: PathBuf,
    /// Removes the directory, unless somebody else does.
    _held: Option<tempfile::TempDir>,
    /// Where programs are looked for, when that is not where the tests look.
    path: Option<OsString>,
}

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let held = tempfile::tempdir().unwrap();
        let place = Self { directory: held.path().to_owned(), _held: Some(held), path: None };
        place.write("p.toml", POLICY);
        place
    }

    /// A directory that is there already.
    pub(crate) fn at(directory: PathBuf) -> Self {
        Self { directory, _held: None, path: None }
    }

    /// The same with another `PATH`.
    pub(crate) fn with_path(self, path: OsString) -> Self {
        Self { path: Some(path), ..self }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), text).unwrap();
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(DOORWARD);
        command.args(arguments);
        command
    }

    /// A program that is started here.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = untold(program);
        command.env_remove("NO_COLOR").current_dir(self.path()).stdin(Stdio::null());
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments).output().unwrap())
    }

    pub(crate) fn feed(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that has seen enough may close its end.
        let _ = child.stdin.take().unwrap().write_all(input);
        ran(child.wait_with_output().unwrap())
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let output = Command::new("git")
            .args(["-c", "user.name=doorward", "-c", "user.email=doorward@example.com", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

pub(crate) fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().expect("not killed by a signal"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ran {
    /// One line on stderr with that code, nothing on stdout, exit code 2.
    pub(crate) fn fails_with(&self, code: &str) -> &str {
        assert_eq!(self.code, 2, "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.contains(&format!("error[{code}]: ")), "expected {code}: {}", self.stderr);
        assert!(self.stderr.len() < 8_000, "{} bytes", self.stderr.len());
        assert_eq!(self.stdout, "");
        &self.stderr
    }
}
