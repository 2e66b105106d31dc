//! The examples, built, run and short.

use std::path::Path;
use std::process::Command;

/// The most lines of an example.
const LONGEST: usize = 60;

fn run(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("examples").join(name).with_extension("rs")).unwrap();
    assert!(text.lines().count() <= LONGEST, "{name} has {} lines", text.lines().count());
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--all-features", "--example", name])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_example_does_what_it_says() {
    let said =
        ["bare_decide", "agent_guard", "axum_router", "rmcp_server"].map(|name| format!("# {name}\n{}", run(name)));
    insta::assert_snapshot!(said.join("\n"));
}
