//! The plan and a Vault: what is missing there, writing it, and whether a login can do just that.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::call::Call;
use super::client::Vault;
use crate::credentials::plan::{Change, Kind, Plan, Wanted};
use crate::credentials::unavailable::Unavailable;

#[derive(Deserialize)]
struct Read {
    data: Map<String, Value>,
}

/// What becomes of each part of the plan, in its order. The login of `vault` is an operator's.
///
/// # Errors
///
/// The login may not look, or Vault cannot answer.
pub async fn compare(vault: &Vault, plan: &Plan) -> Result<Vec<Change>, Unavailable> {
    let mut changes = Vec::with_capacity(plan.wanted.len());
    for wanted in &plan.wanted {
        let found = match wanted.kind {
            Kind::Mount => listed(vault, "sys/mounts", &wanted.name).await?,
            Kind::Auth => listed(vault, "sys/auth", &wanted.name).await?,
            _ => read(vault, &wanted.path).await?,
        };
        changes.push(found.map_or(Change::Add, |found| change(wanted, &found)));
    }
    Ok(changes)
}

/// Writes what is not as it must be. Doing it again does nothing.
///
/// # Errors
///
/// The part that could not be written, and why. What comes before it is written.
pub async fn apply(vault: &Vault, plan: &Plan, changes: &[Change]) -> Result<(), (Wanted, Unavailable)> {
    for (wanted, change) in plan.wanted.iter().zip(changes) {
        if *change != Change::Keep {
            let call = Call::post(wanted.path.clone(), &wanted.body);
            let sent = vault.send(&call, vault.deadline()).await;
            sent.map_err(|failure| (wanted.clone(), failure.reason))?;
        }
    }
    Ok(())
}

/// The policies that the plan expects and Vault does not have.
///
/// # Errors
///
/// The login may not look, or Vault cannot answer.
pub async fn missing(vault: &Vault, plan: &Plan) -> Result<Vec<String>, Unavailable> {
    let mut missing = Vec::new();
    for policy in plan.expected.keys() {
        if read(vault, &format!("sys/policies/acl/{policy}")).await?.is_none() {
            missing.push(policy.clone());
        }
    }
    Ok(missing)
}

/// Roles for tokens that look like the plan's and are not of it: those of servers that the policy had
/// once, or of another gateway whose name begins like this one's. Nobody removes them here.
///
/// # Errors
///
/// The login may not look, or Vault cannot answer.
pub async fn stale(vault: &Vault, plan: &Plan) -> Result<Vec<String>, Unavailable> {
    #[derive(Deserialize)]
    struct Keys {
        keys: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Listed {
        data: Keys,
    }
    let answer = match vault.send(&Call::get("auth/token/roles?list=true"), vault.deadline()).await {
        Ok(answer) => answer,
        Err(failure) if failure.reason == Unavailable::NotFound => return Ok(Vec::new()),
        Err(failure) => return Err(failure.reason),
    };
    let prefix = format!("{}-", plan.policy);
    let wanted = |name: &String| plan.wanted.iter().any(|w| w.kind == Kind::TokenRole && w.name == *name);
    let Listed { data: Keys { keys } } = answer.read()?;
    Ok(keys.into_iter().filter(|name| name.starts_with(&prefix) && !wanted(name)).collect())
}

/// What a login can do and need not, or needs and cannot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Excess {
    /// It can do everything.
    Root,
    /// It can do this, and the plan does not need it: a path or a pattern, and the capabilities.
    More(String, BTreeSet<String>),
    /// It cannot do this, and the plan needs it.
    Less(String, BTreeSet<String>),
    /// Its policy has a path with `+`, which Vault leaves out of what it says a login can do.
    Pattern(String),
    /// It has a policy besides that of the plan, whose paths with `+` nobody sees.
    Policy(String),
}

#[derive(Deserialize)]
struct Resultant {
    #[serde(default)]
    root: bool,
    #[serde(default)]
    exact_paths: BTreeMap<String, Capabilities>,
    #[serde(default)]
    glob_paths: BTreeMap<String, Capabilities>,
}

#[derive(Deserialize)]
struct Capabilities {
    capabilities: BTreeSet<String>,
}

/// Holds what the login of `vault` can do against the plan, by Vault's own account of it, and by its policy where that
/// account has a gap. Empty when it can do exactly that and no more.
///
/// # Errors
///
/// Logging in fails, or the login may not even ask.
pub async fn verify(vault: &Vault, plan: &Plan) -> Result<Vec<Excess>, Unavailable> {
    #[derive(Deserialize)]
    struct Answer {
        data: Resultant,
    }
    let answer: Answer = vault.send(&Call::get("sys/internal/ui/resultant-acl"), vault.deadline()).await?.read()?;
    let Resultant { root, exact_paths, glob_paths } = answer.data;
    if root {
        return Ok(vec![Excess::Root]);
    }
    // Paths are counted from the root, the plan's from its namespace.
    let prefix = plan.namespace.as_deref().map_or_else(String::new, |n| format!("{}/", n.trim_matches('/')));
    let own = |path: &str| path.strip_prefix(&prefix).map(str::to_owned);
    let mut found = Vec::new();
    let mut can: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, Capabilities { capabilities }) in exact_paths {
        match own(&path) {
            Some(path) => drop(can.insert(path, capabilities)),
            None => found.push(Excess::More(path, capabilities)),
        }
    }
    let denied = |capabilities: &BTreeSet<String>| capabilities.iter().all(|capability| capability == "deny");
    found.extend(
        glob_paths
            .into_iter()
            .filter(|(_, glob)| !denied(&glob.capabilities))
            .map(|(path, glob)| Excess::More(format!("{path}*"), glob.capabilities)),
    );
    for (path, allowed) in &plan.allowed {
        let needs: BTreeSet<String> = allowed.capabilities.iter().map(|&c| c.to_owned()).collect();
        let has = can.remove(path).unwrap_or_default();
        let (less, more) = (&needs - &has, &has - &needs);
        if !less.is_empty() {
            found.push(Excess::Less(path.clone(), less));
        }
        if !more.is_empty() {
            found.push(Excess::More(path.clone(), more));
        }
    }
    found.extend(can.into_iter().filter(|(_, has)| !denied(has)).map(|(path, has)| Excess::More(path, has)));
    let (own, others): (BTreeSet<_>, _) =
        vault.login_policies().await?.into_iter().partition(|policy| *policy == plan.policy);
    found.extend(others.into_iter().map(Excess::Policy));
    for policy in own {
        // Whoever may not read it lacks a path of the plan, which is said already.
        let text = match read(vault, &format!("sys/policies/acl/{policy}")).await {
            Ok(data) => data.as_ref().and_then(|data| data.get("policy")?.as_str()).map(patterns),
            Err(Unavailable::Denied) => None,
            Err(reason) => return Err(reason),
        };
        found.extend(text.into_iter().flatten().map(Excess::Pattern));
    }
    found.sort();
    Ok(found)
}

/// The paths with `+` for a whole part in the text of a policy, be it HCL or JSON: whatever stands between quotes.
fn patterns(text: &str) -> BTreeSet<String> {
    let quoted = text.split('"').skip(1).step_by(2);
    quoted.filter(|path| path.split('/').any(|part| part == "+")).map(str::to_owned).collect()
}

async fn read(vault: &Vault, path: &str) -> Result<Option<Map<String, Value>>, Unavailable> {
    match vault.send(&Call::get(path), vault.deadline()).await {
        Ok(answer) => Ok(Some(answer.read::<Read>()?.data)),
        Err(failure) if failure.reason == Unavailable::NotFound => Ok(None),
        Err(failure) => Err(failure.reason),
    }
}

/// One of the mounts of a list.
async fn listed(vault: &Vault, list: &str, name: &str) -> Result<Option<Map<String, Value>>, Unavailable> {
    let found = read(vault, list).await?.and_then(|mut all| all.remove(&format!("{name}/")));
    Ok(found.and_then(|value| match value {
        Value::Object(found) => Some(found),
        _ => None,
    }))
}

/// What of a thing is not as it must be. What the plan says nothing of is not ours.
fn change(wanted: &Wanted, found: &Map<String, Value>) -> Change {
    let differs = wanted.body.iter().filter_map(|(key, value)| {
        let now = found.get(key).cloned().unwrap_or(Value::Null);
        (!same(value, &now)).then(|| (key.clone(), now))
    });
    let differs: Vec<_> = differs.collect();
    if differs.is_empty() { Change::Keep } else { Change::Alter(differs) }
}

/// Whether two values mean the same to Vault: lists in any order, and more keys in a table than ours.
fn same(wanted: &Value, now: &Value) -> bool {
    match (wanted, now) {
        (Value::Array(wanted), Value::Array(now)) => {
            let set = |list: &[Value]| list.iter().map(Value::to_string).collect::<BTreeSet<_>>();
            set(wanted) == set(now)
        }
        (Value::Object(wanted), Value::Object(now)) => {
            wanted.iter().all(|(key, value)| now.get(key).is_some_and(|now| same(value, now)))
        }
        (Value::String(wanted), Value::String(now)) => wanted.trim() == now.trim(),
        (wanted, now) => wanted == now,
    }
}
