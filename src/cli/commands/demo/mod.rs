//! `doorward demo`: the whole of it in one process, for a few seconds.
//!
//! Real servers, a real gateway and real tokens, all on the loopback and in a directory that is
//! removed at the end. Nothing is left running.

mod client;
mod servers;

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::attest::{Gate, Proofs};
use crate::audit::chain::{Column, Row};
use crate::audit::recorded;
use crate::audit::store::{Order, Select, Store, StoreError};
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::keys::{refused, runtime};
use crate::cli::time::clock;
use crate::gateway::{Options, open, serve_dev_issuer};
use crate::identity::dev::{DevIssuer, DevKeys, Wanted};
use crate::policy::{Layers, LoadedPolicy, load};
use crate::report::Style;
use crate::report::simulate::{Limits, human};
use crate::simulate::{Rehearsal, gate};
use crate::traffic::{Header, Reader, WriteError, Writer};

const POLICY: &str = include_str!("policies.toml");
/// What the gateway is called by its callers.
const URL: &str = "https://mcp.example.com";
/// The refund limit that is tried out on what was recorded.
const LOWER: (&str, &str) = ("max = 500", "max = 30");

/// Show the gateway at work: an issuer, two MCP servers, an agent, and what the operator sees
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward demo",
    after_help = "\
Everything is on the loopback and in a temporary directory; nothing is left running.

Exit codes:
  0  it was shown
  2  it could not be shown"
)]
pub(in crate::cli) struct Args {}

/// One thing that the agent does.
struct Scene {
    title: &'static str,
    door: &'static str,
    tool: &'static str,
    arguments: Value,
    scopes: &'static [&'static str],
    /// How old its token is, in seconds.
    age: i64,
}

fn scenes() -> [Scene; 6] {
    const ALL: &[&str] = &["tickets:search", "tickets:refund", "crm:lookup"];
    let scene = |title, door, tool, arguments, scopes, age| Scene { title, door, tool, arguments, scopes, age };
    [
        scene("a call that the policy allows", "tickets", "search", json!({"query": "late parcel"}), ALL, 0),
        scene("the same agent at another door", "crm", "lookup", json!({"customer": "C-12"}), ALL, 0),
        scene("a refund within its limit", "tickets", "refund", json!({"amount": 40}), ALL, 0),
        scene("a token without the scope", "tickets", "refund", json!({"amount": 40}), &["tickets:search"], 0),
        scene("an argument over its limit", "tickets", "refund", json!({"amount": 900}), ALL, 0),
        scene("a token that is too old for a refund", "tickets", "refund", json!({"amount": 20}), ALL, 180),
    ]
}

/// Shows it.
pub(in crate::cli) fn run() -> Result<Answer, Failure> {
    runtime()?.block_on(show()).map(Answer::yes)
}

fn broken(error: &std::io::Error) -> Failure {
    Failure::new(Kind::CannotServe, format!("the demonstration cannot run here: {error}"))
}

fn policy(text: String) -> Result<LoadedPolicy, Failure> {
    let layers = Layers { files: vec![("policies.toml".to_owned(), text.into())], environment: Vec::new() };
    load(&layers).policy.ok_or_else(|| Failure::new(Kind::BadPolicy, "the built-in policy cannot be used"))
}

async fn show() -> Result<String, Failure> {
    let directory = tempfile::tempdir().map_err(|error| broken(&error))?;
    let [tickets, crm] = [servers::serve(&servers::TICKETS).await, servers::serve(&servers::CRM).await];
    let (tickets, crm) = (tickets.map_err(|e| broken(&e))?, crm.map_err(|e| broken(&e))?);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|e| broken(&e))?;
    let at = listener.local_addr().map_err(|e| broken(&e))?;
    let text = POLICY
        .replace("ISSUER/", &format!("{at}/"))
        .replace("TICKETS/", &format!("{tickets}/"))
        .replace("CRM/", &format!("{crm}/"));
    let loaded = policy(text.clone())?;
    let keys = DevKeys::generate().map_err(refused)?;
    let issuer = Arc::new(DevIssuer::new(loaded.compiled.set(), "dev", keys).map_err(refused)?);
    let (stop_issuer, issuer_stopped) = tokio::sync::oneshot::channel::<()>();
    let issuing = serve_dev_issuer(listener, Arc::clone(&issuer), clock, async { drop(issuer_stopped.await) });
    let issuing = tokio::spawn(issuing);

    let options = Options { directory: directory.path().to_owned(), ..Options::default() };
    let store = loaded.compiled.set().audit.store.as_str();
    let audit = Store::in_directory(store, directory.path()).map_err(|error| unheard(&error))?;
    let cleared = Gate::default().first(loaded.compiled.clone(), &loaded.checks.rollout, Proofs::default());
    let cleared = cleared.map_err(|held| Failure::new(Kind::CannotServe, held.to_string()))?;
    let gateway = open(&cleared, &options).await.map_err(|refusals| {
        let all: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        Failure::new(Kind::CannotServe, all.join("; "))
    })?;
    let address = gateway.address().ok_or_else(|| Failure::new(Kind::CannotServe, "the gateway has no address"))?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(gateway.run(async { drop(stopped.await) }));

    let told = tell(address, &issuer, &audit).await;
    drop((stop, stop_issuer));
    let ended = running.await.map_err(std::io::Error::other).and_then(|ended| ended);
    let _ = issuing.await;
    ended.map_err(|error| broken(&error))?;
    let (mut text_out, recording) = told?;
    text_out.push_str(&rehearsed(&text, &loaded, &recording)?);
    Ok(text_out)
}

/// Plays the scenes; what the agent and the operator see, and a recording of it.
async fn tell(address: SocketAddr, issuer: &DevIssuer, audit: &Store) -> Result<(String, Vec<u8>), Failure> {
    let mut text = String::from(
        "A gateway in front of two MCP servers, with a development issuer. ana works at the support desk; her agent\n\
         is desk-assistant. The servers know nothing of tokens: the gateway decides what reaches them.\n",
    );
    let mut recording = Writer::new(Vec::new(), &Header::new("doorward demo")).map_err(|error| unwritten(&error))?;
    for (number, scene) in scenes().into_iter().enumerate() {
        let issued = clock().plus(-scene.age);
        let token = issuer.mint(&wanted(scene.scopes), issued).map_err(refused)?;
        let params = json!({"name": scene.tool, "arguments": scene.arguments});
        let heard = client::send(address, scene.door, token.expose_secret(), "tools/call", &params).await?;
        let row = last_decision(audit).await?;
        let shown = |column| row.entry.get(column).unwrap_or_default();
        text.push_str(&format!("\n{}. {}\n", number + 1, scene.title));
        text.push_str(&format!("   agent     {}:{} {}\n", scene.door, scene.tool, scene.arguments));
        text.push_str(&format!("   hears     {} {}\n", heard.status, words(&heard.message)));
        if let Some(challenge) = &heard.challenge {
            text.push_str(&format!("             WWW-Authenticate: {challenge}\n"));
        }
        let by = row.entry.data_object().remove("rule").unwrap_or_default();
        let of = |pointer: &str| by.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let line = by.pointer("/at/line").and_then(Value::as_u64).unwrap_or_default();
        let rule = match shown(Column::Rule) {
            "" => String::new(),
            name => format!(" by {} {name}, {}:{line}", of("/kind"), of("/at/file")),
        };
        text.push_str(&format!("   operator  {} {}{rule}\n", shown(Column::Decision), shown(Column::Reason)));
        let event = recorded(&row).ok_or_else(|| Failure::new(Kind::CannotServe, "the row holds no decision"))?;
        recording.write(&event).map_err(|error| unwritten(&error))?;
    }
    Ok((text, recording.finish().map_err(|error| unwritten(&error))?))
}

fn wanted(scopes: &[&str]) -> Wanted {
    Wanted {
        subject: "ana".to_owned(),
        agent: Some("desk-assistant".to_owned()),
        groups: vec!["support".to_owned()],
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        audience: doors(),
        lifetime: 600,
        ..Wanted::default()
    }
}

fn doors() -> Vec<String> {
    ["tickets", "crm"].map(|door| format!("{URL}/{door}/mcp")).to_vec()
}

/// What a message says, in one line.
fn words(message: &Value) -> String {
    let said = message.pointer("/result/content/0/text").or_else(|| message.pointer("/error/message"));
    let code = message.pointer("/error/data/doorward/code").and_then(Value::as_str);
    let said = said.and_then(Value::as_str).unwrap_or("nothing");
    code.map_or_else(|| said.to_owned(), |code| format!("{said} ({code})"))
}

/// The last decision of the audit log.
async fn last_decision(audit: &Store) -> Result<Row, Failure> {
    let mut connection = audit.reader().await.map_err(|error| unheard(&error))?;
    let mut last = None;
    let select = Select { order: Order::Latest, ..Select::default() };
    let mut take = |row: Row| {
        if row.entry.kind == "intent" || row.entry.kind == "denial" {
            last = Some(row);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    connection.read(&select, &mut take).await.map_err(|error| unheard(&error))?;
    connection.close().await;
    last.ok_or_else(|| Failure::new(Kind::CannotServe, "nothing is on record"))
}

fn unheard(error: &StoreError) -> Failure {
    Failure::new(Kind::CannotServe, format!("the audit log cannot be read: {error}"))
}

fn unwritten(error: &WriteError) -> Failure {
    Failure::new(Kind::CannotServe, format!("the recording cannot be written: {error}"))
}

/// What a lower limit would have done to what was just recorded.
fn rehearsed(text: &str, baseline: &LoadedPolicy, recording: &[u8]) -> Result<String, Failure> {
    let candidate = policy(text.replace(LOWER.0, LOWER.1))?;
    let mut rehearsal = Rehearsal::new(&candidate.compiled, Some(&baseline.compiled));
    rehearsal.source("demo.jsonl");
    let read = Reader::new(recording);
    let read = read.map_err(|error| Failure::new(Kind::BadInput, format!("the recording cannot be read: {error}")))?;
    for item in read {
        rehearsal.item(&item);
    }
    let report = rehearsal.finish();
    let verdict = gate(&candidate.checks.rollout, &report);
    let mut told =
        format!("\n7. a candidate policy with `{}` in place of `{}`, on what was just recorded\n\n", LOWER.1, LOWER.0);
    for line in human(&report, &verdict, Limits::default(), Style::PLAIN).lines() {
        told.push_str(format!("   {line}").trim_end());
        told.push('\n');
    }
    told.push_str("\nnext: doorward init, doorward check && doorward test, doorward serve\n");
    Ok(told)
}
