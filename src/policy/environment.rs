//! Environment variables as a layer: they may say where things are, never who may do what.
//!
//! The variables are handed in; this module never reads the environment, and never shows the value
//! of a variable that it does not take.

use super::document::KEYS;
use super::load::Layers;
use super::name::quoted;
use super::source::{Kind, Node, Table};
use crate::diagnostics::{Code, Diagnostic, Sources, Span, did_you_mean};

/// What every variable of doorward begins with.
const PREFIX: &str = "DOORWARD_";

/// Variables of doorward that are not about the policy.
const OTHERS: [&str; 3] = ["POLICY", "PROFILE", "LOG"];

/// What a variable may set, with `*` for the name of a server.
const PLACES: [&[&str]; 8] = [
    &["gateway", "listen"],
    &["gateway", "url"],
    &["gateway", "traces"],
    &["servers", "*", "url"],
    &["audit", "store"],
    &["vault", "address"],
    &["vault", "namespace"],
    &["vault", "standbys"],
];

/// One layer for each variable, in the order of their names, so that each keeps its own place.
pub(super) fn read<'t>(
    layers: &'t Layers,
    servers: &'t [String],
    sources: &mut Sources,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Node<'t>> {
    let mut variables: Vec<_> = layers.environment.iter().collect();
    variables.sort();
    variables
        .into_iter()
        .filter_map(|(name, value)| {
            let rest =
                name.get(..PREFIX.len()).filter(|p| p.eq_ignore_ascii_case(PREFIX)).and(name.get(PREFIX.len()..))?;
            if OTHERS.iter().any(|other| rest.eq_ignore_ascii_case(other)) {
                return None;
            }
            match find(rest, servers) {
                Ok(path) => Some(layer(name, value, &path, sources)),
                Err(problem) => {
                    // The text is the name: the value may be a secret that was never meant for us.
                    let source = sources.add(&format!("{} (environment)", quoted(name)), name);
                    let end = u32::try_from(name.len()).unwrap_or(u32::MAX);
                    problems.push(problem.at(Span { source, start: 0, end }, ""));
                    None
                }
            }
        })
        .collect()
}

fn layer<'t>(name: &str, value: &'t str, path: &[&'t str], sources: &mut Sources) -> Node<'t> {
    let source = sources.add(&format!("{} (environment)", quoted(name)), value);
    let span = Span { source, start: 0, end: u32::try_from(value.len()).unwrap_or(u32::MAX) };
    let leaf = Node { span, key_span: span, kind: Kind::String(value.into()) };
    path.iter().rev().fold(leaf, |node, key| Node {
        span,
        key_span: span,
        kind: Kind::Table(Table::from([((*key).into(), node)])),
    })
}

/// The place that a variable sets.
fn find<'n>(rest: &str, servers: &'n [String]) -> Result<Vec<&'n str>, Diagnostic> {
    let shown = format!("{PREFIX}{}", quoted(rest));
    let words = words(rest);
    let fits = |place: &&[&str]| {
        place.len() == words.len()
            && place.iter().zip(&words).all(|(key, word)| *key == "*" || key.eq_ignore_ascii_case(word))
    };
    let Some(place) = PLACES.iter().copied().find(|place| fits(place)) else {
        return Err(foreign(&shown, &words));
    };
    let Some(word) = place.contains(&"*").then(|| words.get(1)).flatten() else {
        return Ok(place.to_vec());
    };
    let named: Vec<&str> = servers.iter().map(String::as_str).filter(|name| same_name(name, word)).collect();
    match named.as_slice() {
        [server] => Ok(place.iter().map(|key| if *key == "*" { *server } else { *key }).collect()),
        [] => {
            let known: Vec<String> = servers.iter().map(|name| variable_name(name)).collect();
            let near = did_you_mean(&word.to_ascii_uppercase(), known.iter().map(String::as_str));
            let help = near.map_or_else(
                || "declare the server in `policies.toml`, or unset the variable".to_owned(),
                |near| format!("did you mean `{PREFIX}SERVERS__{near}__URL`?"),
            );
            Err(Diagnostic::new(Code::UnknownServer, format!("`{shown}` names a server that is not declared"))
                .help(help))
        }
        several => {
            let list: Vec<String> = several.iter().map(|name| format!("`{name}`")).collect();
            Err(Diagnostic::new(Code::UnknownServer, format!("`{shown}` may mean {}", list.join(" or ")))
                .help("set the URL of these servers in an overlay file"))
        }
    }
}

/// The keys that a variable names; the name of a server may hold `__` itself.
fn words(rest: &str) -> Vec<&str> {
    let server = rest.split_once("__").filter(|(table, _)| table.eq_ignore_ascii_case("servers"));
    match server.and_then(|(table, tail)| Some((table, tail.rsplit_once("__")?))) {
        Some((table, (name, key))) => vec![table, name, key],
        None => rest.split("__").collect(),
    }
}

/// The problem of a variable that sets nothing it may.
fn foreign(shown: &str, words: &[&str]) -> Diagnostic {
    let policy = words.first().is_some_and(|word| KEYS.iter().any(|table| table.eq_ignore_ascii_case(word)));
    let written: Vec<String> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
    let near = PLACES.iter().find_map(|place| {
        // The name of a table is never a slip for that of another.
        if policy && !words.first().is_some_and(|word| place.first().is_some_and(|key| key.eq_ignore_ascii_case(word)))
        {
            return None;
        }
        let known: Vec<String> = place
            .iter()
            .zip(&written)
            .map(|(key, word)| if *key == "*" { word.clone() } else { key.to_ascii_uppercase() })
            .collect();
        let candidate = known.join("__");
        (place.len() == written.len())
            .then(|| did_you_mean(&written.join("__"), [candidate.as_str()]).map(str::to_owned))
            .flatten()
    });
    let (code, message) = if policy && near.is_none() {
        let message = format!("`{shown}` would change the policy from outside");
        (Code::EnvironmentSetsPolicy, message)
    } else {
        (Code::UnknownKey, format!("`{shown}` is not a variable that doorward reads"))
    };
    let help = near.map_or_else(
        || {
            "the environment may set only gateway.listen, gateway.url, gateway.traces, servers.NAME.url, audit.store, \
             vault.address, vault.namespace and vault.standbys; the rest belongs in `policies.toml` or its overlay"
                .to_owned()
        },
        |near| format!("did you mean `{PREFIX}{}`?", quoted(&near)),
    );
    Diagnostic::new(code, message).help(help)
}

/// Whether a word of a variable means a name: `-` and `.` are written `_`, and case does not count.
fn same_name(name: &str, word: &str) -> bool {
    variable_name(name).eq_ignore_ascii_case(word)
}

fn variable_name(name: &str) -> String {
    name.replace(['-', '.'], "_").to_ascii_uppercase()
}
