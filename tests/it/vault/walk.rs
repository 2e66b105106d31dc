//! The walk-through of `docs/vault.md`, followed to its end: its own blocks, in one shell.
//!
//! Only where things are differs: `bao` runs in the container of the test and not in one of the compose
//! file, and every port is free. Of another image it is `vault` that runs there.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use super::bao::own;
use super::database::inner_address;
use crate::containers::{Wanted, own_postgres};
use crate::place::{DOORWARD, untold};

/// The blocks of the page that are marked as parts of the walk, by their names.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let parts = page.split("<!-- walk: ").skip(1);
    parts
        .map(|part| {
            let (name, rest) = part.split_once(" -->\n```sh\n").unwrap();
            (name, rest.split_once("```").unwrap().0)
        })
        .collect()
}

fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_follows_the_walk_through_to_its_end() {
    let test = "a_new_user_follows_the_walk_through_to_its_end";
    let (Some(bao), Some(postgres)) = (own(test), own_postgres(test, Wanted::default())) else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = tempfile::tempdir().unwrap();
    let (listen, admin) = (free(), free());
    let here = |text: &str| {
        text.replace("127.0.0.1:8787", &listen)
            .replace("127.0.0.1:8788", &admin)
            .replace("http://127.0.0.1:8200", &bao.address())
            .replace("@postgres:5432", &format!("@{}:5432", inner_address(&postgres)))
    };
    for file in fs::read_dir(root.join("examples/vault")).unwrap().map(|file| file.unwrap().path()) {
        let copy = place.path().join(file.file_name().unwrap());
        fs::copy(&file, &copy).unwrap();
        fs::write(&copy, here(&fs::read_to_string(&file).unwrap())).unwrap();
    }
    let page = fs::read_to_string(root.join("docs/vault.md")).unwrap();
    let blocks = blocks(&page);
    let names: Vec<_> = blocks.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["machine", "yours", "plan", "login", "serve", "end"]);
    let mut script = format!(
        "set -eu\nbao() {{ docker exec -i -e BAO_ADDR=http://127.0.0.1:8200 -e BAO_TOKEN=root \
         -e VAULT_ADDR=http://127.0.0.1:8200 -e VAULT_TOKEN=root {} {} \"$@\"; }}\n\
         trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n",
        bao.id(),
        bao.program()
    );
    for (_, block) in blocks.iter().skip(1) {
        script += &here(block);
    }
    fs::write(place.path().join("walk.sh"), script).unwrap();

    let binaries = Path::new(DOORWARD).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let mut command: Command = untold("bash");
    command.arg("walk.sh").current_dir(place.path()).env("PATH", path).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let log = fs::read_to_string(place.path().join("doorward.log")).unwrap_or_default();
    assert!(output.status.success(), "{said}\n{log}");
    for expected in [
        "+ login role doorward",
        "0 to add, 0 to change",
        "the login can do what the plan says, and no more",
        "a token of the policies notes for notes",
        "database user v-",
        "taken back",
        "nobody: the token is dead",
    ] {
        assert!(said.contains(expected), "`{expected}` is not in: {said}\n{log}");
    }
    assert!(log.contains("stopped"), "{log}");
    let mut admin = postgres.connect("postgres").await;
    let users: i64 = sqlx::query_scalar("select count(*) from pg_roles where rolname like 'v-%'")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(users, 0, "a user of the database outlives the gateway");
}
