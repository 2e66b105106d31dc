//! The suite as a program: one run of the requirements of one revision, and what came of each check.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use super::super::parts;

/// Where the suite is.
pub(super) struct Suite {
    node: PathBuf,
    script: PathBuf,
}

/// One check of a scenario: its id, what came of it, and what the suite says about that.
#[derive(Clone)]
pub(super) struct Check {
    id: String,
    status: String,
    /// Names ports and the like, so it is shown and not compared.
    message: String,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short: String = self.message.chars().take(500).collect();
        write!(f, "{} {} {short}", self.status, self.id)
    }
}

/// The checks of each scenario in the order in which they were made.
#[derive(Debug)]
pub(super) struct Outcomes(BTreeMap<String, Vec<Check>>);

impl Suite {
    /// The suite, where it is installed.
    pub(super) fn find() -> Option<Self> {
        let node = parts::node()?;
        Some(Self { node: node.program(), script: node.script("conformance", "dist/index.js") })
    }

    /// Runs all server scenarios of a revision against a URL.
    pub(super) async fn run(&self, url: &str, revision: &str) -> Outcomes {
        let results = tempfile::tempdir().unwrap();
        let said = tokio::process::Command::new(&self.node)
            .arg(&self.script)
            .args(["server", "--url", url, "--requirements", revision, "-o"])
            .arg(results.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let mut outcomes = BTreeMap::new();
        for scenario in std::fs::read_dir(results.path()).unwrap() {
            let scenario = scenario.unwrap();
            // The folder is named for the scenario and the time, as in `server-ping-2026-11-30T09-33-03-123Z`.
            let name = scenario.file_name().into_string().unwrap();
            let name = name.get(..name.len() - "-2026-11-30T09-33-03-123Z".len()).unwrap();
            let checks = std::fs::read(scenario.path().join("checks.json")).unwrap();
            let checks: Vec<Value> = serde_json::from_slice(&checks).unwrap();
            let checks = checks.iter().map(|check| {
                let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
                Check { id: text("id"), status: text("status"), message: text("errorMessage") }
            });
            outcomes.insert(name.strip_prefix("server-").unwrap().to_owned(), checks.collect());
        }
        assert!(!outcomes.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
        Outcomes(outcomes)
    }
}

impl Outcomes {
    /// The scenarios of which any check differs, with both.
    pub(super) fn differences<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (&'a str, Vec<Check>, Vec<Check>)> {
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        let of = |all: &Self, name: &str| all.0.get(name).cloned().unwrap_or_default();
        let same = |a: &[Check], b: &[Check]| {
            a.iter().map(|check| (&check.id, &check.status)).eq(b.iter().map(|check| (&check.id, &check.status)))
        };
        names.map(move |name| (name.as_str(), of(self, name), of(other, name))).filter(move |(_, a, b)| !same(a, b))
    }

    /// The checks that did not pass, but for those of some scenarios.
    pub(super) fn failed(&self, but: &[&str]) -> impl Iterator<Item = &Check> {
        let counted = self.0.iter().filter(|(scenario, _)| !but.contains(&scenario.as_str()));
        counted.flat_map(|(_, checks)| checks).filter(|check| matches!(&*check.status, "FAILURE" | "WARNING"))
    }

    /// How many scenarios there were, and how many checks of each kind.
    pub(super) fn summary(&self) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for check in self.0.values().flatten() {
            *counts.entry(&check.status).or_default() += 1;
        }
        let mut text = format!("{} scenarios", self.0.len());
        for (status, count) in counts {
            write!(text, ", {count} {status}").unwrap();
        }
        text
    }
}
