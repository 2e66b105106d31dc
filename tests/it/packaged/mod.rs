//! What is shipped besides the program: the image, the compose file and the unit, built and run as a user would.
//!
//! The static programs that go into the images are made by `tests/run`, which names their folder in
//! `DOORWARD_STATIC`. Without it these tests say that they are skipped.

mod compose;
mod image;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::elsewhere::there;

/// How long to wait for anything; far more than it takes.
const PATIENCE: Duration = Duration::from_mins(3);

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

/// The folder with the static programs, where there is a Docker engine too.
fn programs() -> Option<PathBuf> {
    let folder = std::env::var_os("DOORWARD_STATIC").map(PathBuf::from).filter(|folder| folder.is_dir());
    let folder = there(folder, "DOORWARD_PACKAGING", "DOORWARD_STATIC names no folder with static programs")?;
    let engine = Command::new("docker").arg("info").output().is_ok_and(|output| output.status.success());
    there(engine.then_some(folder), "DOORWARD_CONTAINERS", "there is no Docker engine")
}

fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).env("DOCKER_BUILDKIT", "0").output().unwrap()
}

/// What a command says, which must go well.
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until something is so.
fn until(what: &str, mut is: impl FnMut() -> Result<(), String>) {
    let begin = Instant::now();
    while let Err(why) = is() {
        assert!(begin.elapsed() < PATIENCE, "{what}: {why}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// An image, gone when this is dropped.
struct Image(String);

impl Image {
    /// A stage of `packaging/Dockerfile`, with programs that are there in place of those that its first stage builds.
    fn build(programs: &Path, stage: &str) -> Self {
        let recipe = fs::read_to_string(packaging().join("Dockerfile")).unwrap();
        let stages = &recipe[recipe.find("FROM scratch").unwrap()..];
        let context = tempfile::tempdir().unwrap();
        let made = context.path().join("image");
        for folder in ["bin", "etc/ssl/certs", "var/lib/doorward"] {
            fs::create_dir_all(made.join(folder)).unwrap();
        }
        for program in ["doorward", "notes_server"] {
            fs::copy(programs.join(program), made.join("bin").join(program)).unwrap();
        }
        // Nobody is asked by TLS here, and yet there must be somebody who is believed.
        let authority = rcgen::generate_simple_self_signed(["authority.example.com".to_owned()]).unwrap();
        fs::write(made.join("etc/ssl/certs/ca-certificates.crt"), authority.cert.pem()).unwrap();
        let stages = stages.replace("--from=build ", "").replace(" /image/", " image/");
        fs::write(context.path().join("Dockerfile"), stages).unwrap();
        let name = format!("doorward-test/{stage}:{}", std::process::id());
        said(&docker(&["build", "-q", "--target", stage, "-t", &name, context.path().to_str().unwrap()]));
        Self(name)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = docker(&["rmi", "-f", &self.0]);
    }
}

#[test]
fn systemd_takes_the_unit() {
    let systemd = Command::new("systemd-analyze").arg("--version").output().is_ok();
    let Some(()) = there(systemd.then_some(()), "DOORWARD_SYSTEMD", "there is no systemd-analyze") else { return };
    let directory = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string(packaging().join("doorward.service")).unwrap();
    assert!(unit.contains("/usr/local/bin/doorward "));
    // It wants to see a program.
    let file = directory.path().join("doorward.service");
    fs::write(&file, unit.replace("/usr/local/bin/doorward ", &format!("{} ", crate::place::DOORWARD))).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn what_is_published_is_small_and_holds_no_tests_and_no_traffic() {
    let output = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline", "--quiet"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let listed = said(&output);
    let mut bytes = 0;
    for path in listed.lines() {
        let folder = path.split('/').next().unwrap();
        assert!(!["tests", "fuzz", "benches", ".ci"].contains(&folder), "{path}");
        // The recording that `--demo` plays, and the rows that a page verifies.
        let own = ["simulations/support-desk.jsonl", "examples/audit/support-desk.jsonl"].contains(&path);
        assert!(own || Path::new(path).extension().is_none_or(|of| of != "jsonl"), "{path}");
        bytes += fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).map_or(0, |file| file.len());
    }
    assert!(listed.contains("src/main.rs") && (100_000..5_000_000).contains(&bytes), "{bytes}");
}
